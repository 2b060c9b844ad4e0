"""`acmedrill serve` among peers that are rude, broken or gone: it goes on serving everybody else, and while nobody says anything
it uses no CPU."""

import contextlib
import os
import resource
import select
import socket
import ssl
import struct
import time

import pytest
import serving
from serving import PATIENCE_S, Client, until

IDLE_S = 2


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving.serving(tmp_path_factory.mktemp("serve"), "--always-valid", "--speed", 10) as server:
        serves(server)  # what it opens once, is open now
        yield server


def serves(server):
    """A new client gets through, as quickly as ever."""
    started = time.monotonic()
    client = Client(server)
    client.register().ok(201)
    order = client.order("a.example.test")
    client.post(order.challenge()["url"], {}).ok()
    order.poll("ready")
    client.close()
    assert time.monotonic() - started < PATIENCE_S / 2


def ticks_in(server, seconds):
    before = server.cpu_ticks()
    select.select([], [], [], seconds)
    return server.cpu_ticks() - before


def is_idle(server):
    """While nothing comes, next to no CPU time: an edge that spins takes a whole processor."""
    until(lambda: all(ticks_in(server, 0.1) <= 1 and server.sleeps() for _ in range(3)), "it has done what there was to do")
    used = ticks_in(server, IDLE_S) / os.sysconf("SC_CLK_TCK")
    assert used <= 0.05 * IDLE_S, f"{used} s of CPU time in {IDLE_S} s of silence"


def client_hello():
    """The bytes of one."""
    out = ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return out.read()


def said(connection, patience_s=PATIENCE_S):
    """All that the server says before it closes."""
    text = b""
    connection.settimeout(patience_s)
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while piece := connection.recv(65536):
            text += piece
    return text


def get(path="/dir", more=b""):
    return b"GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n" % (path.encode(), more)


# --- connections that are kept open, and never say the next thing ---


def nothing_said(server):
    return server.connect()


def half_a_client_hello(server):
    connection = server.connect()
    connection.sendall(client_hello()[:100])
    return connection


def half_a_handshake(server):
    """The server has answered, and waits for the client's Finished."""
    connection = server.connect()
    connection.sendall(client_hello())
    assert connection.recv(5)
    return connection


def half_a_request_line(server):
    connection = server.connect_tls()
    connection.sendall(b"GET /d")
    return connection


def slow_headers(server):
    """A slowloris: always one more header line to come."""
    connection = server.connect_tls()
    connection.sendall(b"GET /dir HTTP/1.1\r\nHost: localhost\r\n")
    for i in range(20):
        connection.sendall(b"X-More-%d: of the same\r\n" % i)
    return connection


def slow_body(server):
    connection = server.connect_tls()
    connection.sendall(b"POST /new-order HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n{")
    return connection


def slow_chunks(server):
    connection = server.connect_tls()
    connection.sendall(b"POST /new-order HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n{")
    return connection


def nothing_read(server):
    """Asks and asks, and takes none of the answers, for which it has hardly any room."""
    bare = socket.socket()
    bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    bare.settimeout(PATIENCE_S)
    bare.connect(("127.0.0.1", server.port))
    connection = server.tls().wrap_socket(bare, server_hostname="localhost")
    connection.settimeout(1)
    with contextlib.suppress(TimeoutError, ssl.SSLError):
        for _ in range(40):
            connection.sendall(get() * 100)
    return connection


def kept_alive(server):
    connection = server.connect_tls()
    connection.sendall(get())
    assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    return connection


def half_closed(server):
    connection = server.connect()
    connection.sendall(client_hello())
    connection.shutdown(socket.SHUT_WR)
    return connection


SILENT = [
    nothing_said,
    half_a_client_hello,
    half_a_handshake,
    half_a_request_line,
    slow_headers,
    slow_body,
    slow_chunks,
    nothing_read,
    kept_alive,
    half_closed,
]


@pytest.mark.parametrize("begin", SILENT, ids=lambda f: f.__name__)
def test_peers_that_fall_silent(begin, server):
    n = 2 if begin is nothing_read else 10
    before = server.descriptors()
    with contextlib.ExitStack() as stack:
        for _ in range(n):
            stack.enter_context(contextlib.closing(begin(server)))
        serves(server)
        is_idle(server)
        serves(server)
    until(lambda: server.descriptors() <= before, "the descriptors are given back")


def test_all_of_them_at_once(server):
    before = server.descriptors()
    with contextlib.ExitStack() as stack:
        for begin in SILENT:
            for _ in range(5 if begin is not nothing_read else 1):
                stack.enter_context(contextlib.closing(begin(server)))
        serves(server)
        is_idle(server)
        serves(server)
    until(lambda: server.descriptors() <= before, "the descriptors are given back")


def test_a_slow_request_is_answered_in_the_end(server):
    """One byte at a time, and a long silence in the middle."""
    with server.connect_tls() as connection:
        request = get(more=b"Connection: close\r\n")
        for i, byte in enumerate(request):
            connection.sendall(bytes([byte]))
            if i == len(request) // 2:
                serving.pause(0.5)
        assert said(connection).startswith(b"HTTP/1.1 200 ")


def test_pipelined_requests_are_answered_in_order(server):
    with server.connect_tls() as connection:
        connection.sendall(get("/dir") + get("/nothing") + get("/terms", b"Connection: close\r\n"))
        answers = said(connection)
    statuses = [piece[:3] for piece in answers.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"404", b"200"]


# --- bytes that mean nothing ---

GARBAGE = {
    "zeros": b"\0" * 4096,
    "ones": b"\xff" * 100000,
    "text": b"hello, is this the post office?\r\n\r\n" * 10,
    "http": get(),
    "ssh": b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
    "sslv2": b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + b"\x05" * 40,
    "big record": b"\x16\x03\x01\xff\xff" + b"A" * 70000,
    "empty records": b"\x16\x03\x01\x00\x00" * 1000,
    "alert": b"\x15\x03\x01\x00\x02\x02\x28",
}


@pytest.mark.parametrize("words", GARBAGE)
def test_garbage_in_place_of_tls(words, server):
    before = server.descriptors()
    for _ in range(10):
        with server.connect() as connection:
            with contextlib.suppress(OSError):
                connection.sendall(GARBAGE[words])
                if words == "empty records":
                    connection.shutdown(socket.SHUT_WR)
            assert len(said(connection)) < 100  # an alert, or nothing; and the connection is closed
    serves(server)
    until(lambda: server.descriptors() <= before, "the descriptors are given back")


REQUESTS = {
    "no-http": b"hello\r\n\r\n",
    "binary": bytes(range(256)) * 16 + b"\r\n\r\n",
    "no-version": b"GET /dir\r\n\r\n",
    "http-2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no-host": b"GET /dir HTTP/1.1\r\nConnection: close\r\n\r\n",
    "long-line": b"GET /" + b"a" * 200000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "long-header": get(more=b"X: " + b"a" * 200000 + b"\r\n"),
    "many-headers": get(more=b"".join(b"X-%d: a\r\n" % i for i in range(20000))),
    "bad-length": b"POST /new-order HTTP/1.1\r\nHost: localhost\r\nContent-Length: many\r\n\r\n",
    "negative-length": b"POST /new-order HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    "huge-length": b"POST /new-order HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "bad-chunk": b"POST /new-order HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "nul-in-target": b"GET /dir\0x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "bad-utf-8": b"GET /\xff\xfe HTTP/1.1\r\nHost: \xc3\x28\r\nConnection: close\r\n\r\n",
}


@pytest.mark.parametrize("words", REQUESTS)
def test_garbage_in_place_of_http(words, server):
    """It is refused or not understood; then the connection ends, and no other suffers."""
    before = server.descriptors()
    for _ in range(3):
        with server.connect_tls() as connection:
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                connection.sendall(REQUESTS[words])
            answer = said(connection)
            assert answer == b"" or answer.startswith(b"HTTP/1."), answer[:100]
            assert b" 500 " not in answer[:20]
    serves(server)
    until(lambda: server.descriptors() <= before, "the descriptors are given back")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_old_tls_is_refused(server):
    """Section 6.1: the TLS of our time."""
    tls = server.tls()
    tls.minimum_version = ssl.TLSVersion.TLSv1
    tls.maximum_version = ssl.TLSVersion.TLSv1_1
    tls.set_ciphers("ALL:@SECLEVEL=0")
    with server.connect() as connection, pytest.raises((ssl.SSLError, ConnectionError)):
        tls.wrap_socket(connection, server_hostname="localhost")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        tls = server.tls()
        tls.minimum_version = tls.maximum_version = version
        with tls.wrap_socket(server.connect(), server_hostname="localhost") as connection:
            connection.sendall(get(more=b"Connection: close\r\n"))
            assert said(connection).startswith(b"HTTP/1.1 200 ")
    serves(server)


# --- too much ---


@pytest.mark.parametrize("mib", [2, 20])
def test_a_body_that_is_too_large(mib, server):
    client = Client(server)
    client.register().ok(201)
    body = b"x" * (mib << 20)
    try:
        reply = client.request("POST", client.kid, body, {"Content-Type": "application/jose+json"})
        assert reply.status == 413, reply
    except (ConnectionError, ssl.SSLError):
        assert mib > 2  # it need not listen to all of it before it says so
    client.close()
    serves(server)


def test_a_body_that_is_too_large_in_chunks(server):
    """Nobody has said how much it will be."""
    with server.connect_tls() as connection:
        connection.sendall(b"POST /new-order HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
        for _ in range(32):
            connection.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
        assert said(connection).startswith(b"HTTP/1.1 413 ")
    serves(server)


@pytest.mark.parametrize("kib", [100, 250, 255])
def test_a_body_that_is_large_enough_to_fill_buffers(kib, server):
    """Below the limit of a quarter MiB: read whole, and refused for what it says."""
    client = Client(server)
    client.register().ok(201)
    for _ in range(3):
        client.send(client.kid, b" " * (kib << 10)).refused(400, "malformed")
    client.post(client.kid).ok()
    client.close()


# --- peers that go away ---


def test_fifty_connections_closed_at_once(server):
    before = server.descriptors()
    for reset in (False, True):
        connections = [server.connect_tls() for _ in range(50)]
        for i, connection in enumerate(connections):
            if i % 2:
                connection.sendall(get())
        for connection in connections:
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        serves(server)
    until(lambda: server.descriptors() <= before, "the descriptors are given back")
    is_idle(server)


def test_fifty_handshakes_given_up(server):
    before = server.descriptors()
    connections = [half_a_handshake(server) for _ in range(50)]
    for connection in connections:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    serves(server)
    until(lambda: server.descriptors() <= before, "the descriptors are given back")


def test_askers_that_do_not_wait_for_the_answer(server):
    """newAccount is signed and sent; the connection is gone before the reply."""
    before = server.descriptors()
    clients = [Client(server) for _ in range(20)]
    for client in clients:
        jws = client.sign(client.directory["newAccount"], {"termsOfServiceAgreed": True})
        body = serving.json.dumps(jws).encode()
        client.connection.request("POST", "/new-account", body, {"Content-Type": "application/jose+json"})
        client.close()
    serves(server)
    until(lambda: server.descriptors() <= before, "the descriptors are given back")


def test_an_asker_that_leaves_while_its_answer_is_held_back(tmp_path):
    """step-ca validates inside the POST: here the target is in no hurry, and the asker goes away meanwhile."""
    with socket.create_server(("127.0.0.1", 0)) as target:
        target.settimeout(PATIENCE_S)
        options = ["--profile", "step-ca", "--speed", 1]
        with serving.serving(tmp_path, *options, http_port=target.getsockname()[1]) as server:
            client = Client(server)
            client.register().ok(201)
            order = client.order("a.example.test")
            url = order.challenge()["url"]
            before = server.descriptors()
            body = serving.json.dumps(client.sign(url, {})).encode()
            path = url.removeprefix(server.base)
            client.connection.request("POST", path, body, {"Content-Type": "application/jose+json"})
            asked, _ = target.accept()
            client.close()
            until(lambda: server.descriptors() <= before, "the asker's connection is closed")
            is_idle(server)
            asked.close()
            other = Client(server, client.key)
            other.kid = client.kid
            assert other.post(order.authz_urls[0]).ok().json()["status"] == "pending"
            other.close()
            client.close()


def test_a_target_that_never_answers_and_sigterm(tmp_path):
    """Stopped in the middle of a query, with an answer held back and a slow peer: it ends at once, and cleanly."""
    with socket.create_server(("127.0.0.1", 0)) as target:
        target.settimeout(PATIENCE_S)
        options = ["--profile", "step-ca", "--history", tmp_path / "history.jsonl"]
        with serving.serving(tmp_path, *options, http_port=target.getsockname()[1]) as server:
            client = Client(server)
            client.register().ok(201)
            url = client.order("a.example.test").challenge()["url"]
            body = serving.json.dumps(client.sign(url, {})).encode()
            path = url.removeprefix(server.base)
            client.connection.request("POST", path, body, {"Content-Type": "application/jose+json"})
            asked, _ = target.accept()
            silent = slow_body(server)
            is_idle(server)
            stopped_at = time.monotonic()
        assert time.monotonic() - stopped_at < 5
        for connection in (asked, silent):
            connection.close()
        client.close()


def test_sigterm_before_anybody_came(tmp_path):
    """As early as can be: right after the line that says where it is."""
    for i in range(5):
        with serving.serving(tmp_path / str(i)):
            pass


@pytest.fixture
def many_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(hard, 4096)
    if wanted < 2000:
        pytest.skip(f"only {hard} descriptors may be opened here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("limit", [256, 4096], ids=["of-the-process", "of-select"])
def test_more_connections_than_descriptors(limit, many_descriptors, tmp_path):
    """Those that find no place are refused or wait; when some leave, there is room again. It does not spin meanwhile."""
    with serving.serving(tmp_path) as server:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (limit, hard))
        serves_at_first = Client(server)
        serves_at_first.register().ok(201)
        before = server.descriptors()
        connections = [server.connect() for _ in range(min(limit, 1024) + 100)]
        serving.pause(0.5)
        serves_at_first.post(serves_at_first.kid).ok()  # who is inside, is served
        is_idle(server)
        for connection in connections:
            connection.close()
        until(lambda: server.descriptors() <= before, "the descriptors are given back")
        other = Client(server)
        other.register().ok(201)
        serves_at_first.close()
        other.close()
