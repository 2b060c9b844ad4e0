"""`acmedrill respond` among peers that are rude, broken or gone: it goes on serving everybody else, keeps its memory, and
while nobody says anything it uses no CPU."""

import contextlib
import random
import select
import socket
import ssl

import dns.message
import pytest
import responding
from responding import ACME_TLS, drain, framed, read_framed
from serving import PATIENCE_S, until

MANY = 200
SANITIZED_KIB = 32 * 1024  # what ASan's quarantine may add


@pytest.fixture(scope="module")
def it(tmp_path_factory):
    with responding.responding(tmp_path_factory.mktemp("respond")) as it:
        it.call("add-http01", token="honest", content="honest.key")
        it.call("add-tlsalpn01", host="honest.test", content="honest.key")
        it.call("set-txt", host="_acme-challenge.honest.test", value="honest")
        yield it


def serves(it):
    """Everybody else, over every medium."""
    assert it.token("honest").text == "honest.key"
    assert it.token("honest", service="https").text == "honest.key"
    for via in ("udp", "tcp", "doh-post"):
        assert it.records("_acme-challenge.honest.test", "TXT", via=via) == ['"honest"']
    assert it.handshake("honest.test")[0] == ACME_TLS
    it.call("clear-a", host="nobody.test")


def client_hello(name="honest.test"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([ACME_TLS])
    out = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name).do_handshake()
    return out.read()


QUERY = dns.message.make_query("_acme-challenge.honest.test", "TXT", id=8555).to_wire()

# What a connection begins with and never ends, by service.
HALVES = {
    "nothing": [(service, b"") for service in ("http-01", "https", "tls-alpn-01", "dns", "doh", "management")],
    "half a request": [("http-01", b"GET /x HTTP/1.1\r\nHo"), ("management", b"POST /add-a HTTP/1.1\r\nContent-Length: 900\r\n\r\n{")],
    "half a hello": [("tls-alpn-01", client_hello()[:60]), ("https", client_hello()[:60]), ("doh", client_hello()[:60])],
    "half a handshake": [("tls-alpn-01", client_hello())],
    "half a query": [("dns", framed(QUERY)[:20]), ("dns", b"\xff\xff" + QUERY)],
}


@pytest.mark.parametrize("half", HALVES)
def test_many_that_never_end_keep_nobody_out(it, half):
    kinds = HALVES[half]
    peers = []
    try:
        for i in range(MANY):
            service, text = kinds[i % len(kinds)]
            peers.append(it.connect(service))
            peers[-1].sendall(text)
        serves(it)
    finally:
        for peer in peers:
            peer.close()
    until(lambda: it.descriptors() < 60, "the descriptors are given back")
    serves(it)


def test_more_idle_dns_connections_than_it_keeps(it):
    """The one that has said nothing for longest makes room."""
    peers = [it.connect("dns") for _ in range(300)]
    serves(it)
    gone = select.select(peers, [], [], PATIENCE_S)[0]
    assert gone and all(drain(peer)[1] == "reset" for peer in gone)
    for peer in peers:
        peer.close()
    serves(it)


def test_one_byte_at_a_time(it):
    with it.connect("dns") as peer:
        for byte in framed(QUERY) * 2:
            peer.sendall(bytes([byte]))
        assert all(dns.message.from_wire(read_framed(peer)).answer for _ in range(2))
    with it.connect("http-01") as peer:
        for byte in b"GET /.well-known/acme-challenge/honest HTTP/1.1\r\nHost: x\r\n\r\n":
            peer.sendall(bytes([byte]))
        assert drain(peer)[0].endswith(b"honest.key")
    with it.connect("tls-alpn-01") as peer:
        for byte in client_hello():
            peer.sendall(bytes([byte]))
        assert peer.recv(1) == b"\x16"  # a handshake record


@pytest.mark.parametrize(
    "packet",
    [
        b"\0" * 12,
        b"\xff" * 12,
        QUERY[:-1],
        QUERY[:12],
        QUERY[:2] + b"\x80\x00" + QUERY[4:],  # an answer
        QUERY[:12] + b"\xc0\x0c\x00\x10\x00\x01",  # a name that points at itself
        QUERY[:12] + b"\x3f" * 300,
        QUERY + b"\0" * 60000,
        random.Random(8555).randbytes(4000),
    ],
    ids=["zeros", "ones", "cut", "header", "answer", "loop", "labels", "long", "noise"],
)
def test_what_is_no_query_ends_at_most_its_own_connection(it, packet):
    with it.connect("dns") as peer:
        peer.sendall(framed(packet) + framed(QUERY))
        peer.shutdown(socket.SHUT_WR)
        assert drain(peer)[1] in ("closed", "reset")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        with contextlib.suppress(OSError):  # larger than a datagram
            peer.sendto(packet, ("127.0.0.1", it.ports["dns"]))
        with contextlib.suppress(OSError):
            peer.sendto(packet[:4000], ("127.0.0.1", it.ports["dns"]))
    serves(it)


@pytest.mark.parametrize("length", [0, 1, 11])
def test_a_length_that_no_query_has(it, length):
    with it.connect("dns") as peer:
        peer.sendall(length.to_bytes(2, "big"))
        assert drain(peer) == (b"", "closed")


def test_who_asks_and_never_reads(it):
    with it.connect("dns") as peer:
        peer.setblocking(False)
        sent = 0
        for _ in range(4000):
            try:
                sent += peer.send(framed(QUERY) * 50)
            except BlockingIOError:
                break
            except ConnectionError:
                break
        assert sent > 100000
        serves(it)


def test_who_asks_and_leaves(it):
    for _ in range(100):
        with it.connect("dns") as peer:
            peer.sendall(framed(QUERY) * 5)
        with it.connect("tls-alpn-01") as peer:
            peer.sendall(client_hello())
        with it.connect("http-01") as peer:
            peer.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    serves(it)


@pytest.mark.parametrize("name", ["x" * 248, "\x01\x02.test", "a,b.test", "*.test", "..", "1.2.3.4"])
def test_odd_names_in_tls(it, name):
    """Pinned up as they are; whether a certificate can say so is another question."""
    it.post("add-tlsalpn01", host=name, content="x")
    encoded = name.encode()
    entry = b"\0" + len(encoded).to_bytes(2, "big") + encoded
    listed = len(entry).to_bytes(2, "big") + entry
    stand_in = "".join("." if i % 50 == 49 else "z" for i in range(len(encoded)))
    hello = client_hello(stand_in)
    ours = b"\0" + len(encoded).to_bytes(2, "big") + stand_in.encode()
    assert ours in hello
    with it.connect("tls-alpn-01") as peer:
        peer.sendall(hello.replace(len(ours).to_bytes(2, "big") + ours, listed))
        assert peer.recv(1) in (b"\x15", b"\x16")
    serves(it)


@pytest.mark.parametrize("text", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"x" * 70000, b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"])
def test_what_is_no_tls(it, text):
    with it.connect("tls-alpn-01") as peer:
        with contextlib.suppress(ConnectionError):
            peer.sendall(text)
            peer.shutdown(socket.SHUT_WR)
        drain(peer)
    serves(it)


def test_a_call_that_is_too_large(it):
    reply = it.post("add-http01", token="large", content="x" * (300 << 10))
    assert reply.status_code == 413
    reply = it.post("add-http01", token="large", content="x" * (100 << 10))
    assert reply.status_code == 400 and "longer than 65536 bytes" in reply.text
    serves(it)


def test_memory_stays_flat_and_history_is_bounded(it):
    def ask_many(n):
        with it.connect("dns") as peer:
            for _ in range(n // 100):
                peer.sendall(framed(QUERY) * 100)
                for _ in range(100):
                    read_framed(peer)

    ask_many(5000)
    before = it.resident_kib()
    ask_many(10000)
    assert it.resident_kib() - before < SANITIZED_KIB
    assert len(it.history("dns", "_acme-challenge.honest.test")) == 4096


def test_silence_costs_nothing(it):
    def ticks():
        stat = open(f"/proc/{it.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return sum(map(int, stat[11:13]))

    def is_idle():
        before = ticks()
        select.select([], [], [], 0.5)
        return ticks() - before <= 1

    peers = [it.connect(service) for service in ("http-01", "tls-alpn-01", "dns", "doh")]
    until(is_idle, "it does nothing while nobody speaks")
    for peer in peers:
        peer.close()
