"""What the tests of `acmedrill respond` share: the responders as a process, and hands to reach them by requests, dnspython,
Python's ssl and raw sockets, none of which share code with the program."""

import contextlib
import os
import pathlib
import select
import signal
import socket
import ssl
import struct
import subprocess
import warnings

import cryptography.utils
import dns.message
import dns.query
import requests
import urllib3
from cryptography import x509
from serving import ACMEDRILL, PATIENCE_S, ROOT, read_lines, until  # noqa: F401

ACME_TLS = "acme-tls/1"
# What https01 and doh listen with is no test's subject.
warnings.filterwarnings("ignore", category=urllib3.exceptions.InsecureRequestWarning)
warnings.filterwarnings("ignore", category=cryptography.utils.CryptographyDeprecationWarning)


class Responders:
    """A running `acmedrill respond`."""

    def __init__(self, process, ports):
        self.process, self.ports = process, ports
        self.session = requests.Session()
        self.session.trust_env = False

    # --- the management interface ---

    def post(self, call, **body):
        return self.session.post(f"http://127.0.0.1:{self.ports['management']}/{call}", json=body, timeout=PATIENCE_S)

    def call(self, call, **body):
        reply = self.post(call, **body)
        assert (reply.status_code, reply.text) == (200, ""), f"{call} {body}: {reply.status_code} {reply.text}"

    def history(self, kind, host):
        reply = self.post(f"{kind}-request-history", host=host)
        assert reply.status_code == 200, reply.text
        return reply.json()

    # --- what validators do ---

    def connect(self, service):
        return socket.create_connection(("127.0.0.1", self.ports[service]), timeout=PATIENCE_S)

    def get(self, path, service="http-01", host="a.test", follow=False):
        scheme = "http" if service == "http-01" else "https"
        return requests.get(
            f"{scheme}://127.0.0.1:{self.ports[service]}{path}",
            headers={"Host": host},
            allow_redirects=follow,
            verify=False,
            timeout=PATIENCE_S,
        )

    def token(self, token, **options):
        return self.get("/.well-known/acme-challenge/" + token, **options)

    def raw(self, path, patience_s=PATIENCE_S, until_silence=False):
        """Every byte that a GET brings, and how it ends: "closed", "reset", or "silence" after patience_s."""
        with self.connect("http-01") as peer:
            peer.sendall(f"GET {path} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n".encode())
            return drain(peer, patience_s)

    def ask(self, name, kind="A", via="udp", patience_s=PATIENCE_S, **options):
        query = dns.message.make_query(name, kind, **options)
        port = self.ports["doh" if via.startswith("doh") else "dns"]
        if via == "udp":
            return dns.query.udp(query, "127.0.0.1", port=port, timeout=patience_s)
        if via == "tcp":
            return dns.query.tcp(query, "127.0.0.1", port=port, timeout=patience_s)
        url = f"https://127.0.0.1:{port}/dns-query"
        if via == "doh-post":
            headers = {"Content-Type": "application/dns-message"}
            reply = requests.post(url, query.to_wire(), headers=headers, verify=False, timeout=patience_s)
        else:
            import base64

            text = base64.urlsafe_b64encode(query.to_wire()).rstrip(b"=").decode()
            reply = requests.get(url, params={"dns": text}, verify=False, timeout=patience_s)
        assert (reply.status_code, reply.headers["Content-Type"]) == (200, "application/dns-message"), reply.text
        answer = dns.message.from_wire(reply.content)
        assert query.is_response(answer)
        return answer

    def records(self, name, kind="A", **options):
        """The texts of the answer section, owner and type left out."""
        answer = self.ask(name, kind, **options)
        return sorted(item.to_text() for rrset in answer.answer for item in rrset)

    def handshake(self, name, protocols=(ACME_TLS,)):
        """The chosen protocol, and the certificate. Raises what ssl raises."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if protocols:
            context.set_alpn_protocols(list(protocols))
        with self.connect("tls-alpn-01") as peer, context.wrap_socket(peer, server_hostname=name) as tls:
            return tls.selected_alpn_protocol(), x509.load_der_x509_certificate(tls.getpeercert(True))

    def chain(self, name):
        """All certificates, by `openssl s_client`, as DER."""
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{self.ports['tls-alpn-01']}", "-servername", name]
        command += ["-alpn", ACME_TLS, "-showcerts"]
        run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S)
        marker = b"-----BEGIN CERTIFICATE-----"
        return [x509.load_pem_x509_certificate(marker + piece) for piece in run.stdout.split(marker)[1:]]

    # --- the process ---

    def resident_kib(self):
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in text.splitlines() if line.startswith("VmRSS:")).split()[1])

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


def drain(peer, patience_s=PATIENCE_S):
    text = b""
    peer.settimeout(patience_s)
    try:
        while piece := peer.recv(65536):
            text += piece
        return text, "closed"
    except ConnectionResetError:
        return text, "reset"
    except TimeoutError:
        return text, "silence"


def framed(packet):
    return struct.pack("!H", len(packet)) + packet


def read_framed(peer):
    def exactly(n):
        text = b""
        while len(text) < n:
            piece = peer.recv(n - len(text))
            assert piece, f"the connection ended after {len(text)} of {n} bytes"
            text += piece
        return text

    return exactly(struct.unpack("!H", exactly(2))[0])


def parse_ports(lines):
    """"dns          127.0.0.1:8053 (UDP and TCP)" and its like."""
    ports = {}
    for line in lines:
        word, place = line.split()[:2]
        ports[word] = int(place.split("://")[-1].split("/")[0].rpartition(":")[2])
    return ports


@contextlib.contextmanager
def responding(folder, *options, off=()):
    """Runs `acmedrill respond` on ports that it asks for, and afterwards checks that SIGTERM ends it with exit status 0 and that
    nothing, such as a sanitizer, had anything to say on standard error."""
    services = ["http01", "https01", "tlsalpn01", "dnsserver", "doh", "management"]
    command = [ACMEDRILL, "respond"]
    for service in services:
        command += [f"--{service}", "" if service in off else "127.0.0.1:0"]
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "stderr"
    with open(log, "wb") as stderr:
        process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=stderr, cwd=ROOT)
    try:
        try:
            head = read_lines(process, 1 + len(services) - len(off))
        except AssertionError as error:
            raise AssertionError(f"{error}; stderr: {log.read_text()}") from None
        yield Responders(process, parse_ports(head[1:]))
        assert process.poll() is None, f"it ended by itself with {process.returncode}: {log.read_text()}"
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0, log.read_text()
        assert log.read_text() == ""
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()


def quiet(peer, seconds):
    """Nothing comes for that long."""
    return not select.select([peer], [], [], seconds)[0]
