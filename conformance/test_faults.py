"""Every fault of `acmedrill list faults`, seen on the wire by an observer that shares nothing with the program: bytes from a TLS
socket, Python's own JSON, X.509 and HTTP. And the scenarios of scenarios/faults: what they break is met when they are played."""

import json
import re
import ssl

import pytest

from drilling import SCENARIOS, cases_of, drill, results, values_of
from serving import PATIENCE_S, Client, certificates, csr_der, serving

HELP = dict(line.split(None, 1) for line in drill("list", "faults").stdout.splitlines())


# --- one exchange, byte by byte ---


class Answer:
    """What came: the bytes, and how they ended: "end" (orderly), "reset" or "silence"."""

    def __init__(self, octets, ending, is_head):
        self.octets, self.ending = octets, ending
        head, _, self.body = octets.partition(b"\r\n\r\n")
        self.lines = head.decode("latin-1").split("\r\n")
        self.is_http = self.lines[0].startswith("HTTP/1.1 ")
        self.status = int(self.lines[0].split()[1]) if self.is_http else None
        self.fields = [tuple(line.split(": ", 1)) for line in self.lines[1:]] if self.is_http else []
        self.is_head = is_head

    def all(self, name):
        return [value for field, value in self.fields if field.lower() == name.lower()]

    def one(self, name):
        (value,) = self.all(name)
        return value

    @property
    def whole(self):
        return self.is_http and (self.is_head or len(self.body) == int(self.one("Content-Length")))

    def json(self):
        return json.loads(self.body)


def ask(server, method, path, body=b"", patience_s=PATIENCE_S):
    """On a connection of its own, over which nothing else is said."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost:{server.port}\r\nConnection: close\r\n"
    head += f"Content-Type: application/jose+json\r\nContent-Length: {len(body)}\r\n\r\n" if body else "\r\n"
    octets, ending = b"", "end"
    tls = {"server_hostname": "localhost", "suppress_ragged_eofs": False}
    with server.tls().wrap_socket(server.connect(), **tls) as connection:
        connection.sendall(head.encode() + body)
        connection.settimeout(patience_s)
        try:
            while piece := connection.recv(65536):
                octets += piece
        except TimeoutError:
            ending = "silence"
        except (ConnectionResetError, ssl.SSLEOFError):  # which of the two OpenSSL makes of it depends on what was under way
            ending = "reset"
    return Answer(octets, ending, method == "HEAD")


class Observer(Client):
    """Signs with nonces that newNonce gave, and keeps what came as it came."""

    def nonce(self):
        return self.request("HEAD", self.directory["newNonce"]).ok().headers["Replay-Nonce"]

    def ask(self, url, payload=None):
        jws = json.dumps(self.sign(url, payload)).encode()
        return ask(self.server, "POST", url.removeprefix(self.server.base), jws)


def scenario(folder, rules):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "scenario.json"
    path.write_text(json.dumps({"acmedrill": 1, "title": "t", "ca": {"faults": rules}, "expect": []}))
    return path


def in_turn(where, names):
    """A rule for each: the first fault meets the first reply, and so on."""
    return [{"fault": name, "where": where, "nth": i} for i, name in enumerate(names, 1)]


# --- what each fault looks like ---

PLAIN = ["newNonce", "newAccount", "newOrder"]  # members of our directory


def has_members(answer):
    return answer.whole and set(PLAIN) <= set(answer.json())


def names_of_fields(answer):
    """But for those that the HTTP library adds by itself."""
    return [name for name, _ in answer.fields if name.lower() not in ("date", "connection", "content-length", "allow")]


DIRECTORY = {
    "reset": lambda a: not a.octets and a.ending == "reset",
    "close": lambda a: not a.octets and a.ending == "end",
    "truncate": lambda a: a.status == 200 and 0 < len(a.body) == int(a.one("Content-Length")) // 2,
    "empty": lambda a: a.status == 200 and not a.body and a.whole,
    "garbage": lambda a: a.octets and not a.is_http,
    "html": lambda a: a.body.startswith(b"<!DOCTYPE html>") and a.one("Content-Type").startswith("text/html"),
    "slow": has_members,  # how slow: test_serve_outcomes.py
    "no-link": lambda a: has_members(a) and not a.all("Link"),
    "malformed-link": lambda a: has_members(a) and not a.one("Link").startswith("<"),
    "no-content-type": lambda a: has_members(a) and not a.all("Content-Type"),
    "wrong-content-type": lambda a: has_members(a) and a.one("Content-Type") == "text/plain",
    "charset-content-type": lambda a: has_members(a) and a.one("Content-Type") == "application/json; charset=utf-8",
    "duplicate-content-type": lambda a: has_members(a) and a.all("Content-Type") == ["application/json", "text/html"],
    "retry-after-twice": lambda a: has_members(a) and a.all("Retry-After") == ["4", "7"],
    "lower-case-headers": lambda a: has_members(a) and set(names_of_fields(a)) == {"content-type", "link"},
    "upper-case-headers": lambda a: has_members(a) and set(names_of_fields(a)) == {"CONTENT-TYPE", "LINK"},
    "pretty-json": lambda a: has_members(a) and b'{\n    "newNonce": "' in a.body,
    "reversed-json": lambda a: has_members(a) and [k for k in a.json() if k in PLAIN] == PLAIN[::-1],
    "escaped-json": lambda a: has_members(a) and b'"\\u006eewNonce"' in a.body and b":\\/\\/" in a.body,
    "bom-json": lambda a: a.whole and a.body.startswith(b"\xef\xbb\xbf{") and json.loads(a.body.decode("utf-8-sig")),
    "half-json": lambda a: a.whole and a.body.startswith(b'{"newNonce"') and not a.body.endswith(b"}"),
    "unknown-members": lambda a: has_members(a) and a.json().get("x-unknown", {}).get("status") == "invalid",
    "null-members": lambda a: has_members(a) and {"certificate": None, "error": None}.items() <= a.json().items(),
    "mistyped-json": lambda a: a.whole and isinstance(a.json()["newNonce"], int),
    "deep-json": lambda a: has_members(a) and b"[" * 500 in a.body,
}
NEW_NONCE = {
    "no-nonce": lambda a: a.status == 200 and not a.all("Replay-Nonce"),
    "duplicate-nonce": lambda a: len(set(a.all("Replay-Nonce"))) == 2,
    "malformed-nonce": lambda a: not re.fullmatch("[A-Za-z0-9_-]+", a.one("Replay-Nonce")),
}
NEW_ACCOUNT = {
    "no-location": lambda a, url: not a.all("Location"),
    "relative-location": lambda a, url: url.endswith(a.one("Location")) and a.one("Location").startswith("/account/"),
    "malformed-location": lambda a, url: not a.one("Location").startswith(url),
    "duplicate-location": lambda a, url: a.all("Location") == [url, url + "/elsewhere"],
    "other-location": lambda a, url: a.one("Location") == url + "/elsewhere",
}
BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----\r?\n[A-Za-z0-9+/=\r\n]+-----END CERTIFICATE-----\r?\n?")
CERTIFICATE = {
    "crlf-pem": lambda pem, good: pem == good.replace(b"\n", b"\r\n"),
    "blank-line-pem": lambda pem, good: pem.count(b"CERTIFICATE-----\n\n") == 2 and pem.replace(b"\n\n", b"\n") == good,
    "no-final-newline-pem": lambda pem, good: pem == good[:-1] and good.endswith(b"\n"),
    "text-before-pem": lambda pem, good: pem.endswith(good) and pem.startswith(b"subject="),
    "leaf-only": lambda pem, good: [pem] == BLOCK.findall(good)[:1] and certificates(pem)[0] == certificates(good)[0],
    "reversed-chain": lambda pem, good: certificates(pem) == certificates(good)[::-1] and pem != good,
    "duplicate-leaf": lambda pem, good: certificates(pem) == certificates(good)[:1] + certificates(good),
}


@pytest.fixture(scope="module")
def bad_directory(tmp_path_factory):
    """The directory, read once for each fault, and once more when all faults are used up."""
    folder = tmp_path_factory.mktemp("directory")
    with serving(folder, "--scenario", scenario(folder, in_turn("directory", DIRECTORY))) as server:
        answers = {name: ask(server, "GET", "/dir") for name in DIRECTORY}
        yield answers | {"none": ask(server, "GET", "/dir")}


@pytest.mark.parametrize("fault", DIRECTORY)
def test_on_the_directory(bad_directory, fault):
    answer, good = bad_directory[fault], bad_directory["none"]
    assert DIRECTORY[fault](answer), answer.octets
    assert not DIRECTORY[fault](good) or fault == "slow"  # the check tells a fault from none


def test_used_up(bad_directory):
    good = bad_directory["none"]
    assert has_members(good) and good.status == 200
    assert names_of_fields(good) == ["Content-Type", "Link"] and good.one("Content-Type") == "application/json"


def test_on_new_nonce(tmp_path):
    names = list(NEW_NONCE) + ["stale-nonce"]
    with serving(tmp_path, "--scenario", scenario(tmp_path, in_turn("new nonce", names))) as server:
        answers = {name: ask(server, "HEAD", "/nonce-plz") for name in names}
        good = ask(server, "HEAD", "/nonce-plz")
    for name in NEW_NONCE:
        assert NEW_NONCE[name](answers[name]) and not NEW_NONCE[name](good), (name, answers[name].octets)
    # The first nonce that ever left is the good one of the two.
    assert answers["stale-nonce"].one("Replay-Nonce") == answers["duplicate-nonce"].all("Replay-Nonce")[0]


def test_a_reply_that_is_lost(tmp_path):
    with serving(tmp_path, "--scenario", scenario(tmp_path, in_turn("new nonce", ["drop"]))) as server:
        lost = ask(server, "HEAD", "/nonce-plz", patience_s=1)
        assert not lost.octets and lost.ending == "silence"
        assert ask(server, "HEAD", "/nonce-plz").one("Replay-Nonce")


def test_a_side_that_is_closed(tmp_path):
    """On a connection that both want to keep the answer comes whole, and then the end, but only from one side."""
    with serving(tmp_path, "--scenario", scenario(tmp_path, in_turn("directory", ["half-close"]))) as server:
        for ends in (True, False):
            with server.connect_tls() as connection:
                connection.settimeout(1)
                connection.sendall(f"GET /dir HTTP/1.1\r\nHost: localhost:{server.port}\r\n\r\n".encode())
                octets = b""
                while not octets.endswith(b"}"):
                    octets += connection.recv(65536)
                answer = Answer(octets, "", False)
                assert has_members(answer) and not answer.all("Connection")
                if ends:
                    assert connection.recv(1) == b""
                    connection.sendall(b"the other side is open still")
                else:
                    with pytest.raises(TimeoutError):
                        connection.recv(1)


def test_on_new_account(tmp_path):
    with serving(tmp_path, "--scenario", scenario(tmp_path, in_turn("new account", NEW_ACCOUNT))) as server:
        for name in [*NEW_ACCOUNT, None]:
            observer = Observer(server)
            first = observer.ask(observer.directory["newAccount"], {"termsOfServiceAgreed": True})
            again = observer.register() if name is None else None
            observer.close()
            assert first.status == 201
            url = server.base + f"/account/{[*NEW_ACCOUNT, None].index(name) + 1}"
            if name:
                assert NEW_ACCOUNT[name](first, url), first.octets
            else:
                assert first.one("Location") == url == again.headers["Location"]
                assert not any(check(first, url) for check in NEW_ACCOUNT.values())


def test_on_orders(tmp_path):
    """Members of the object: one that is missing, and one that comes too early."""
    rules = in_turn("new order", ["no-expires", "early-certificate"])
    with serving(tmp_path, "--scenario", scenario(tmp_path, rules)) as server:
        client = Client(server)
        client.register().ok(201)
        bare, early, good = (client.order("a.example.test").document for _ in range(3))
        client.close()
    assert "expires" not in bare and "certificate" not in bare
    assert early["certificate"] and "expires" in early
    assert "certificate" not in good and "expires" in good


def test_on_certificates(tmp_path):
    """One order, downloaded once for each fault."""
    options = ["--always-valid", "--scenario", scenario(tmp_path, in_turn("certificate", CERTIFICATE))]
    with serving(tmp_path, *options) as server:
        client = Client(server)
        client.register().ok(201)
        order = client.order("a.example.test")
        client.post(order.challenge()["url"], {}).ok()
        order.poll("ready")
        order.finalize(csr_der(["a.example.test"])).ok()
        url = order.poll("valid")["certificate"]
        chains = {name: client.post(url).ok().body for name in [*CERTIFICATE, None]}
        client.close()
    good = chains[None]
    assert len(certificates(good)) == 2
    for name, check in CERTIFICATE.items():
        assert check(chains[name], good), (name, chains[name])
        assert not check(good, good), name


# --- connections ---


def greeting(server):
    """What becomes of a handshake, in a word."""
    try:
        with server.connect() as plain:
            plain.settimeout(1)
            with server.tls().wrap_socket(plain, server_hostname="localhost"):
                return "good"
    except TimeoutError:
        return "silence"
    except ConnectionResetError:
        return "reset"
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
        return "end"


CONNECT = {
    "stall-handshake": "silence",
    "reset-handshake": "reset",
    "close-handshake": "end",
    "expired-certificate": "certificate has expired",
    "wrong-name-certificate": "Hostname mismatch, certificate is not valid for 'localhost'.",
}


def test_on_connections(tmp_path):
    history = tmp_path / "history.jsonl"
    options = ["--history", history, "--scenario", scenario(tmp_path, in_turn("connect", CONNECT))]
    with serving(tmp_path, *options) as server:
        assert {name: greeting(server) for name in CONNECT} == CONNECT
        assert greeting(server) == "good"
        assert has_members(ask(server, "GET", "/dir"))
    faults = [e for e in map(json.loads, history.read_text().splitlines()) if e["kind"] == "fault.applied"]
    assert [(e["name"], e["from"], e["to"]) for e in faults] == [(name, "ca", "client") for name in CONNECT]


def test_no_fault_is_unseen():
    seen = [*DIRECTORY, *NEW_NONCE, *NEW_ACCOUNT, *CERTIFICATE, *CONNECT]
    elsewhere = ["stale-nonce", "drop", "half-close", "no-expires", "early-certificate"]  # tests of their own, above
    assert sorted(seen + elsewhere) == sorted(HELP)


# --- rules ---


def test_rules_count_for_themselves(tmp_path):
    """nth, every and times; a name; an account; and of two rules that take one reply the first."""
    rules = [
        {"fault": "no-link", "where": "new order", "nth": 2, "every": 2, "times": 2},
        {"fault": "wrong-content-type", "where": "read authz", "name": "b.example.test", "times": "always"},
        {"fault": "lower-case-headers", "where": "any", "account": 2, "times": "always"},
        {"fault": "no-link", "where": "new order", "name": "c.example.test"},
        {"fault": "malformed-link", "where": "new order", "name": "c.example.test"},
    ]
    names = ["a.example.test", "b.example.test", "c.example.test"]
    path = scenario(tmp_path, rules)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"given": {"identifiers": names}}))
    with serving(tmp_path, "--scenario", path) as server:
        one, two = Observer(server), Observer(server)
        one.register().ok(201)
        two.register().ok(201)
        create = lambda who, name: who.ask(who.directory["newOrder"], {"identifiers": [{"type": "dns", "value": name}]})
        orders = [create(one, "a.example.test") for _ in range(7)]
        assert [bool(a.all("Link")) for a in orders] == [True, False, True, False, True, True, True]
        for name, media in (("a.example.test", "application/json"), ("b.example.test", "text/plain")):
            authz = one.ask(create(one, name).json()["authorizations"][0])
            assert authz.one("Content-Type") == media
        assert names_of_fields(orders[0])[0] == "Content-Type"
        assert names_of_fields(create(two, "a.example.test"))[0] == "content-type"
        assert not create(one, "c.example.test").all("Link")  # the first of three rules that take it
        one.close()
        two.close()


# --- the scenarios ---

FILES = sorted((SCENARIOS / "faults").glob("*.json"))
MET = {name: (shared, overlay) for path in FILES for name, shared, overlay in cases_of(path)}


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    out = tmp_path_factory.mktemp("played")
    results("--out", out, SCENARIOS / "faults", status=0)
    return out


@pytest.mark.parametrize("case", MET)
def test_faults_are_met(played, case):
    """Each fault that a scenario places meets a message, else the scenario says nothing about it."""
    shared, overlay = MET[case]
    wanted = set(values_of(overlay.get("ca", shared.get("ca", {})), "fault"))
    (history,) = [p for p in played.rglob("history.jsonl") if str(p.relative_to(played).parent) == case]
    met = {e["name"] for e in map(json.loads, history.read_text().splitlines()) if e["kind"] == "fault.applied"}
    assert met == wanted
