"""A small network on loopback for validators to look at: a DNS server (dnspython's packets), a web server and a TLS server, each of which
does for each name what a test says. No code is shared with the program."""

import contextlib
import datetime
import hashlib
import socket
import ssl
import struct
import tempfile
import threading

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID, ObjectIdentifier

ACME_IDENTIFIER = ObjectIdentifier("1.3.6.1.5.5.7.1.31")
OF_THE_DRAFTS = ObjectIdentifier("1.3.6.1.5.5.7.1.30.1")
NOBODY = "127.0.0.2"  # a loopback address where nothing listens
ALERT_HANDSHAKE_FAILURE = b"\x15\x03\x03\x00\x02\x02\x28"
ALERT_NO_APPLICATION_PROTOCOL = b"\x15\x03\x03\x00\x02\x02\x78"


def reset(connection):
    """Closes with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def response(status, body=b"", headers=()):
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Network:
    """zone[name, type]: a list of texts, an rcode's name, "drop", "garbage", ("cut", texts): whole by TCP only, or ("then", first, second,
    ...): one for each question. pages[host]: what to do with (connection, path, headers). handshakes[name]: the same with (connection,)."""

    def __init__(self):
        self.zone, self.pages, self.handshakes, self.proofs = {}, {}, {}, {}
        self.asked, self.fetched = [], []
        self.over, self.lock = threading.Event(), threading.Lock()
        self.sockets, self.threads = [], []
        self.udp = self.open(socket.SOCK_DGRAM)
        self.dns_port = self.udp.getsockname()[1]
        self.dns_server = f"127.0.0.1:{self.dns_port}"
        tcp, web, tls = self.open(socket.SOCK_STREAM, self.dns_port), self.open(socket.SOCK_STREAM), self.open(socket.SOCK_STREAM)
        self.http_port, self.tls_port = web.getsockname()[1], tls.getsockname()[1]
        self.run(self.serve_udp)
        for listener, serve in ((tcp, self.serve_tcp), (web, self.serve_http), (tls, self.serve_tls)):
            self.run(self.accept, listener, serve)

    def open(self, kind, port=0):
        one = socket.socket(socket.AF_INET, kind)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("127.0.0.1", port))
        if kind == socket.SOCK_STREAM:
            one.listen(200)
        self.sockets.append(one)
        return one

    def run(self, what, *arguments):
        thread = threading.Thread(target=what, args=arguments, daemon=True)
        thread.start()
        self.threads.append(thread)

    def close(self):
        self.over.set()
        for one in self.sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def accept(self, listener, serve):
        while not self.over.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.run(self.one, connection, serve)

    @staticmethod
    def one(connection, serve):
        with connection, contextlib.suppress(OSError, ssl.SSLError):
            connection.settimeout(60)
            serve(connection)

    def hang(self, *_):
        self.over.wait(120)

    # --- DNS ---

    def answer(self, packet, by_tcp):
        """The answer to a packet; None: none at all."""
        query = dns.message.from_wire(packet)
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
        with self.lock:
            self.asked.append((name, kind, "tcp" if by_tcp else "udp"))
            times = sum(one[:2] == (name, kind) for one in self.asked)
        known = self.zone.get((name, kind), self.zone.get((name, "ANY")))
        if known is None:
            known = ["127.0.0.1"] if kind == "A" else []
        reply = dns.message.make_response(query, recursion_available=True)
        if isinstance(known, tuple) and known[0] == "then":
            known = known[min(times, len(known) - 1)]
        if known == "drop":
            return None
        if known == "garbage":
            return packet[:2] + b"\x81\x80" + b"\xff" * 20
        if isinstance(known, tuple) and known[0] == "cut":
            known = known[1]
            if not by_tcp:
                reply.flags |= dns.flags.TC
                return reply.to_wire()
        if isinstance(known, str):
            reply.set_rcode(dns.rcode.from_text(known))
        elif known:
            alias = isinstance(known, tuple) and known[0] == "alias"
            reply.answer.append(dns.rrset.from_text_list(question.name, 0, "IN", "CNAME" if alias else kind, known[1:] if alias else known))
        return reply.to_wire()

    def serve_udp(self):
        while not self.over.is_set():
            try:
                packet, asker = self.udp.recvfrom(4096)
                reply = self.answer(packet, by_tcp=False) if packet else None
            except OSError:
                return
            if reply:
                with contextlib.suppress(OSError):
                    self.udp.sendto(reply, asker)

    def serve_tcp(self, connection):
        stream = connection.makefile("rb")
        while head := stream.read(2):
            reply = self.answer(stream.read(int.from_bytes(head, "big")), by_tcp=True)
            if reply:
                connection.sendall(len(reply).to_bytes(2, "big") + reply)

    # --- HTTP ---

    def serve_http(self, connection):
        text = b""
        while b"\r\n\r\n" not in text:
            piece = connection.recv(4096)
            if not piece:
                return
            text += piece
        first, *lines = text.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        path, host = first.split(" ")[1], headers.get("host", "").lower()
        with self.lock:
            self.fetched.append((host, path, headers))
        self.pages.get(host, self.give_proof)(connection, path, headers)

    def proof(self, path):
        return self.proofs.get(path.rpartition("/")[2], "").encode()

    def give_proof(self, connection, path, _headers=None):
        body = self.proof(path)
        connection.sendall(response(200, body) if body else response(404))

    # --- TLS ---

    def serve_tls(self, connection):
        hello = connection.recv(4096, socket.MSG_PEEK)
        for name, act in list(self.handshakes.items()):
            if name.encode() in hello:
                act(connection)
                return
        reset(connection)


@contextlib.contextmanager
def network_running():
    network = Network()
    try:
        yield network
    finally:
        network.close()


# --- certificates of tls-alpn-01 ---


def shake(connection, pem, alpn=("acme-tls/1",)):
    """A TLS server's side of one connection."""
    connection.recv(1, socket.MSG_PEEK)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    with tempfile.NamedTemporaryFile() as file:
        file.write(pem)
        file.flush()
        context.load_cert_chain(file.name)
    with context.wrap_socket(connection, server_side=True) as tls:
        tls.recv(1)


def certificate(names, proof, *, extension=True, critical=True, number=ACME_IDENTIFIER, value=None, issued=False, twice=False):
    """PEM of key and certificate. proof: the key authorization, None for another. names: texts, or GeneralNames."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "challenge")])
    signer = key
    if issued:
        signer, issuer = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])
    now = datetime.datetime.utcnow()
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=7))
    if names:
        general = [name if isinstance(name, x509.GeneralName) else x509.DNSName(name) for name in names]
        builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
    if extension:
        digest = hashlib.sha256((proof or "another").encode()).digest()
        builder = builder.add_extension(x509.UnrecognizedExtension(number, value or b"\x04\x20" + digest), critical=critical)
    made = builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private + made + (made if twice else b"")
