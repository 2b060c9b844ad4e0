"""What the tests of `acmedrill serve` share: the server as a process, a validation target, and an ACME client that shares no
code with the program: its own JSON, its own JWS, OpenSSL's arithmetic through Python's cryptography."""

import base64
import contextlib
import datetime
import hashlib
import http.client
import http.server
import json
import os
import pathlib
import re
import select
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.parse

import josepy
from acme import challenges, messages
from acme.client import ClientNetwork, ClientV2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.x509.oid import NameOID

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
ACMEDRILL = os.environ.get("ACMEDRILL", str(ROOT / "build" / "dev" / "acmedrill"))
URN = "urn:ietf:params:acme:error:"
PATIENCE_S = 30  # for what takes milliseconds on an idle machine
# RFC 8555 section 9.1: RFC 7468's strict form, and no text in between.
PEM_CHAIN = re.compile(
    rb"(-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/]{64}\n)*[A-Za-z0-9+/=]{1,64}\n-----END CERTIFICATE-----\n)+"
)


def b64(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def pause(seconds):
    """For loops that look at something without a descriptor of its own."""
    select.select([], [], [], seconds)


def until(condition, what, patience_s=PATIENCE_S):
    """Looks until condition() is true; returns what it returned."""
    end = time.monotonic() + patience_s
    while not (found := condition()):
        assert time.monotonic() < end, f"{what}: not within {patience_s} s"
        pause(0.02)
    return found


# --- the server ---


class Server:
    """A running `acmedrill serve`."""

    def __init__(self, process, head, trust, log):
        self.process, self.head, self.trust, self.log = process, head, trust, log
        words = dict(line.split(None, 1) for line in head[1:])
        self.directory_url = words["directory"].strip()
        self.status_url = words.get("status", "").strip()
        self.base = self.directory_url.removesuffix("/dir")
        self.port = urllib.parse.urlsplit(self.base).port
        assert words["trust"].strip() == str(trust)
        self.control = words.get("control", "").strip()

    def stat(self):
        """What proc(5) says of it, from the state on."""
        return pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()

    def cpu_ticks(self):
        return sum(map(int, self.stat()[11:13]))  # utime and stime

    def sleeps(self):
        """It waits for something to come; on a busy machine that is not the same as not to run."""
        return self.stat()[0] == "S"

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def tls(self):
        return ssl.create_default_context(cafile=str(self.trust))

    def connect(self):
        """A bare TCP connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)

    def connect_tls(self):
        return self.tls().wrap_socket(self.connect(), server_hostname="localhost")


def read_lines(process, n):
    """The first n lines of its standard output, which arrive by themselves."""
    text, end = b"", time.monotonic() + PATIENCE_S
    while text.count(b"\n") < n:
        ready, _, _ = select.select([process.stdout], [], [], max(0, end - time.monotonic()))
        piece = os.read(process.stdout.fileno(), 4096) if ready else b""
        assert piece, f"serve said only {text!r}"
        text += piece
    return text.decode().splitlines()[:n]


def profile_file(folder, **members):
    """For --profile: a CA that differs in these members from the default."""
    path = folder / "profile.json"
    path.write_text(json.dumps({"title": "a CA for one test", **members}))
    return path


@contextlib.contextmanager
def serving(folder, *options, http_port=9):
    """Runs `acmedrill serve`, and afterwards checks that SIGTERM ends it with exit status 0 and that nothing, such as a
    sanitizer, had anything to say on standard error. Port 9 is one that nobody listens on."""
    folder.mkdir(parents=True, exist_ok=True)
    trust, log = folder / "trust.pem", folder / "stderr"
    command = [ACMEDRILL, "serve", "--port", "0", "--trust", str(trust), "--http-port", str(http_port), *map(str, options)]
    with open(log, "wb") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, cwd=ROOT)
    try:
        try:
            optional = sum(option in command for option in ("--control-port", "--status-port"))
            head = read_lines(process, 3 + optional)
        except AssertionError as error:
            raise AssertionError(f"{error}; stderr: {log.read_text()}") from None
        yield Server(process, head, trust, log)
        assert process.poll() is None, f"serve ended by itself with {process.returncode}: {log.read_text()}"
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0, log.read_text()
        assert log.read_text() == ""
        assert process.stdout.read() == b""
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()


# --- the validation target ---


class Fetch:
    def __init__(self, path, host, at):
        self.path, self.host, self.at = path, host, at


class Target:
    """Answers http-01. `answers` is a list such as ["404", "502", "ok"], one for each request, the last one repeating."""

    def __init__(self):
        self.answers, self.proofs, self.fetches = ["ok"], {}, []
        self.changed = threading.Condition()
        target = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                status, body = target.answer(self.path, self.headers.get("Host", ""))
                self.send_response(status)
                self.send_header("Content-Type", "application/octet-stream")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def answer(self, path, host):
        with self.changed:
            word = self.answers[min(len(self.fetches), len(self.answers) - 1)]
            self.fetches.append(Fetch(path, host, time.monotonic()))
            self.changed.notify_all()
        proof = self.proofs.get(path.rpartition("/")[2], "")
        if word == "ok":
            return (200, proof.encode()) if proof else (404, b"")
        if word.isdigit():
            return int(word), b"not here\n"
        return 200, {"wrong-body": b"something else entirely", "empty-body": b""}[word]

    def start(self, *answers):
        """A new list of answers, and no fetches yet."""
        with self.changed:
            self.answers, self.fetches = list(answers) or ["ok"], []

    def wait_for(self, n, patience_s=PATIENCE_S):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.fetches) >= n, patience_s), f"{len(self.fetches)} of {n} fetches"

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@contextlib.contextmanager
def target_running():
    target = Target()
    try:
        yield target
    finally:
        target.close()


# --- keys ---


def octets(number, n=None):
    return number.to_bytes(n or (number.bit_length() + 7) // 8, "big")


class EcKey:
    def __init__(self, private):
        self.private = private
        self.n = private.curve.key_size // 8
        self.alg, self.crv, self.hash = {
            32: ("ES256", "P-256", hashes.SHA256()),
            48: ("ES384", "P-384", hashes.SHA384()),
            65: ("ES512", "P-521", hashes.SHA512()),
        }[self.n]
        if self.n == 65:
            self.n = 66
        point = private.public_key().public_numbers()
        self.x, self.y = octets(point.x, self.n), octets(point.y, self.n)

    def jwk(self):
        return {"kty": "EC", "crv": self.crv, "x": b64(self.x), "y": b64(self.y)}

    def sign_der(self, message):
        return self.private.sign(message, ec.ECDSA(self.hash))

    def sign(self, message):
        r, s = utils.decode_dss_signature(self.sign_der(message))
        return octets(r, self.n) + octets(s, self.n)


class EdKey:
    alg = "EdDSA"

    def __init__(self):
        self.private = ed25519.Ed25519PrivateKey.generate()

    def jwk(self):
        raw = self.private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return {"kty": "OKP", "crv": "Ed25519", "x": b64(raw)}

    def sign(self, message):
        return self.private.sign(message)


class RsaKey:
    alg = "RS256"

    def __init__(self, bits):
        self.private = rsa.generate_private_key(65537, bits)

    def jwk(self):
        numbers = self.private.public_key().public_numbers()
        return {"kty": "RSA", "n": b64(octets(numbers.n)), "e": b64(octets(numbers.e))}

    def sign(self, message):
        return self.private.sign(message, padding.PKCS1v15(), hashes.SHA256())


def p256():
    return EcKey(ec.generate_private_key(ec.SECP256R1()))


def thumbprint(key):
    """RFC 7638: the required members, in the order of their names."""
    text = json.dumps(key.jwk(), sort_keys=True, separators=(",", ":"))
    return b64(hashlib.sha256(text.encode()).digest())


def csr(names, key=None, common_name=None):
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    return builder.sign(key, hashes.SHA256())


def csr_der(*arguments, **options):
    return csr(*arguments, **options).public_bytes(serialization.Encoding.DER)


def csr_of_version(version, names):
    """Signed like any, but RFC 2986 section 4.1 knows only version 0."""

    def element(tag, octets):
        assert len(octets) < 256
        return bytes([tag]) + (b"\x81" if len(octets) > 127 else b"") + bytes([len(octets)]) + octets

    key = ec.generate_private_key(ec.SECP256R1())
    good = csr(names, key)
    info = good.tbs_certrequest_bytes
    rest = info.partition(b"\x02\x01\x00")[2]
    info = element(0x30, b"\x02\x01" + bytes([version]) + rest)
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    return element(0x30, info + algorithm + element(3, b"\0" + key.sign(info, ec.ECDSA(hashes.SHA256()))))


# --- the client ---


class Reply:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"

    def media(self):
        return self.headers["Content-Type"].split(";")[0]

    def json(self):
        assert self.media() == "application/json", self
        return json.loads(self.body)

    def problem(self):
        assert self.media() == "application/problem+json", self
        problem = json.loads(self.body)
        assert problem["type"].startswith(URN), problem
        assert problem["detail"], problem
        assert problem.get("status", self.status) == self.status, problem
        return problem

    def refused(self, status, kind):
        """Asserts that this is an error of that kind; returns the problem document."""
        assert self.status == status, self
        problem = self.problem()
        assert problem["type"] == URN + kind, problem
        return problem

    def ok(self, status=200):
        assert self.status == status, self
        return self


class Gone:
    def __repr__(self):
        return "gone"


GONE = Gone()  # in place of a value: the member is left out


class Client:
    """Says exactly what it is told, and expects Replay-Nonce in every reply to a POST."""

    def __init__(self, server, key=None):
        self.server, self.key, self.kid = server, key or p256(), None
        self.connection, self.nonces, self.seen, self.known = None, [], set(), None

    def request(self, method, url, body=None, headers=None):
        """On one connection for all requests, which the server keeps open unless it says otherwise."""
        parts = urllib.parse.urlsplit(url)
        if not self.connection:
            self.connection = http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=PATIENCE_S, context=self.server.tls()
            )
        headers = {"User-Agent": "conformance", **(headers or {})}
        self.connection.request(method, parts.path + (f"?{parts.query}" if parts.query else ""), body, headers)
        reply = Reply(self.connection.getresponse())
        if reply.headers.get("Connection", "").lower() == "close":
            self.close()
        return reply

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    @property
    def directory(self):
        self.known = self.known or self.request("GET", self.server.directory_url).ok().json()
        return self.known

    def nonce(self):
        if not self.nonces:
            self.nonces.append(self.request("HEAD", self.directory["newNonce"]).ok().headers["Replay-Nonce"])
        return self.nonces.pop()

    def sign(self, where, payload, sign=None, payload_sent=None, **members):
        """The JWS, as a dict. members change or add to the protected header; GONE leaves one out."""
        key = self.key
        header = {"alg": key.alg, "nonce": members.get("nonce") or self.nonce(), "url": where}
        header.update({"kid": self.kid} if self.kid else {"jwk": key.jwk()})
        header.update(members)
        header = {name: value for name, value in header.items() if value is not GONE}
        if payload is None:
            text = b""
        else:
            text = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        protected = b64(json.dumps(header).encode())
        signature = (sign or key.sign)(f"{protected}.{b64(text)}".encode())
        return {
            "protected": protected,
            "payload": b64(text if payload_sent is None else payload_sent),
            "signature": b64(signature),
        }

    def send(self, where, jws, content_type="application/jose+json"):
        body = jws if isinstance(jws, bytes) else json.dumps(jws).encode()
        headers = {"Content-Type": content_type} if content_type else {}
        reply = self.request("POST", where, body, headers)
        nonce = reply.headers["Replay-Nonce"]
        assert nonce and unb64(nonce) and "=" not in nonce, reply
        assert nonce not in self.seen
        self.seen.add(nonce)
        self.nonces = [nonce]
        return reply

    def post(self, where, payload=None, content_type="application/jose+json", **changes):
        return self.send(where, self.sign(where, payload, **changes), content_type)

    def register(self, **members):
        """The account's reply; later requests name the account."""
        self.kid = None
        reply = self.post(self.directory["newAccount"], {"termsOfServiceAgreed": True, **members})
        if reply.status in (200, 201):
            self.kid = reply.headers["Location"]
        return reply

    def order(self, *names):
        reply = self.post(
            self.directory["newOrder"], {"identifiers": [{"type": "dns", "value": name} for name in names]}
        ).ok(201)
        return Order(self, reply.headers["Location"], reply.json())


class Order:
    def __init__(self, client, url, document):
        self.client, self.url, self.document = client, url, document
        self.authz_urls, self.finalize_url = document["authorizations"], document["finalize"]

    def read(self):
        return self.client.post(self.url).ok().json()

    def authz(self, i=0):
        return self.client.post(self.authz_urls[i]).ok().json()

    def challenge(self, i=0, kind="http-01"):
        return next(c for c in self.authz(i)["challenges"] if c["type"] == kind)

    def provide(self, target, i=0):
        """Puts the right proof in place; returns the challenge."""
        challenge = self.challenge(i)
        target.proofs[challenge["token"]] = f"{challenge['token']}.{thumbprint(self.client.key)}"
        return challenge

    def answer(self, target, i=0):
        challenge = self.provide(target, i)
        return challenge["url"], self.client.post(challenge["url"], {})

    def poll(self, status, patience_s=PATIENCE_S):
        """The order once it has that status; fails at another final one."""

        def there():
            document = self.read()
            assert document["status"] == status or document["status"] not in ("valid", "invalid"), document
            return document["status"] == status and document

        return until(there, f"order {status}", patience_s)

    def prove_all(self, target):
        for i in range(len(self.authz_urls)):
            self.answer(target, i)[1].ok()
        return self.poll("ready")

    def finalize(self, der):
        return self.client.post(self.finalize_url, {"csr": b64(der)})

    def download(self):
        reply = self.client.post(self.poll("valid")["certificate"]).ok()
        assert reply.headers["Content-Type"] == "application/pem-certificate-chain"
        assert PEM_CHAIN.fullmatch(reply.body), reply
        return certificates(reply.body)


def poll(client, url, final=("valid", "invalid"), patience_s=PATIENCE_S):
    """The object once its status is one of those."""

    def there():
        document = client.post(url).ok().json()
        return document["status"] in final and document

    return until(there, f"{url} {final}", patience_s)


def foreign_certificate(server, target, names, key=None):
    """The whole way by python3-acme, the library of certbot. Returns the chain."""
    account = josepy.JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
    net = ClientNetwork(account, alg=josepy.ES256, verify_ssl=str(server.trust), timeout=PATIENCE_S)
    client = ClientV2(ClientV2.get_directory(server.directory_url, net), net)
    client.new_account(messages.NewRegistration.from_data(email="drill@example.test", terms_of_service_agreed=True))
    order = client.new_order(csr(names, key).public_bytes(serialization.Encoding.PEM))
    assert sorted(authz.body.identifier.value for authz in order.authorizations) == sorted(names)
    for authz in order.authorizations:
        challenge = next(c for c in authz.body.challenges if isinstance(c.chall, challenges.HTTP01))
        response, target.proofs[challenge.chall.encode("token")] = challenge.response_and_validation(account)
        client.answer_challenge(challenge, response)
    order = client.poll_and_finalize(order, datetime.datetime.now() + datetime.timedelta(seconds=2 * PATIENCE_S))
    net.session.close()
    return certificates(order.fullchain_pem.encode())


def certificates(pem):
    marker = b"-----BEGIN CERTIFICATE-----"
    return [x509.load_pem_x509_certificate(marker + piece) for piece in pem.split(marker)[1:]]


def openssl_verifies(chain, trust, folder):
    """OpenSSL's own opinion of a chain (leaf first)."""
    pem = [c.public_bytes(serialization.Encoding.PEM) for c in chain]
    (folder / "leaf.pem").write_bytes(pem[0])
    (folder / "rest.pem").write_bytes(b"".join(pem[1:]))
    run = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-no-CApath", "-no-CAstore"]
        + ["-CAfile", str(trust), "-untrusted", str(folder / "rest.pem"), str(folder / "leaf.pem")],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    return run.returncode == 0, run.stdout + run.stderr
