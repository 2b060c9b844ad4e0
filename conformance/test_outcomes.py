"""How a validation can fail, met on real sockets: each row of outcomes.json is one condition that a name of our network (network.py) puts a
validator into, and the problem that a CA like that one makes of it. The texts are those of the real programs."""

import collections
import concurrent.futures
import hashlib
import ipaddress
import json
import re

import network
import pytest
import serving
from cryptography import x509

ROWS = json.loads((serving.HERE / "outcomes.json").read_text())
PROFILES = sorted({row["profile"] for row in ROWS})
QUERY_TIMEOUT = "6s"  # in place of the profiles' own: a real peer has all of it, whatever --speed says
WELL_KNOWN = "/.well-known/acme-challenge/"
IDENTITY = {"boulder": "letsencrypt.org"}


class Case:
    """One row's name, and all that its condition needs to know."""

    def __init__(self, net, name, client, challenge):
        self.net, self.name, self.client = net, name, client
        self.token = challenge["token"]
        self.proof = f"{self.token}.{serving.thumbprint(client.key)}"
        self.digest = hashlib.sha256(self.proof.encode())
        self.path = WELL_KNOWN + self.token
        net.proofs[self.token] = self.proof

    def dns(self, kind, known, name=None):
        self.net.zone[name or self.name, kind] = known

    def txt(self, known):
        self.dns("TXT", known, f"_acme-challenge.{self.name}")

    def page(self, act):
        self.net.pages[self.name] = act

    def says(self, text):
        self.page(lambda connection, *_: connection.sendall(text))

    def shakes(self, *arguments, alpn=("acme-tls/1",), **options):
        pem = network.certificate(*arguments, **options)
        self.net.handshakes[self.name] = lambda connection: network.shake(connection, pem, alpn)

    def tls_says(self, text):
        def act(connection):
            connection.recv(4096)
            connection.sendall(text)

        self.net.handshakes[self.name] = act

    def values(self):
        return {
            "name": self.name,
            "url": f"http://{self.name}{self.path}",
            "ip": "127.0.0.1",
            "nobody": network.NOBODY,
            "http": self.net.http_port,
            "tls": self.net.tls_port,
            "proof": self.proof,
            "hex": self.digest.hexdigest(),
            "other_hex": hashlib.sha256(b"another").hexdigest(),
        }


# --- conditions: what each puts in place, by challenge type ---


def http_slow(case, head):
    def act(connection, *_):
        connection.sendall(head)
        case.net.hang()

    case.page(act)


def http_redirects(case, n):
    """/hop/1 ... /hop/n, then the proof."""

    def act(connection, path, _):
        hop = int(path.rpartition("/")[2]) if path.startswith("/hop/") else 0
        if hop == n:
            connection.sendall(network.response(200, case.proof.encode()))
        else:
            connection.sendall(network.response(302, headers=[f"Location: /hop/{hop + 1}"]))

    case.page(act)


def http_redirect(case, location, status=302):
    def act(connection, path, _):
        if path == "/proof":
            connection.sendall(network.response(200, case.proof.encode()))
        else:
            connection.sendall(network.response(status, headers=[f"Location: {location}"]))

    case.page(act)


def http_elsewhere(case):
    http_redirect(case, f"http://elsewhere.{case.name}/proof")
    case.net.pages[f"elsewhere.{case.name}"] = case.net.pages[case.name]


def all_addresses(case, known):
    case.dns("A", known)
    case.dns("AAAA", known)


def caa(case, *records, name=None):
    case.dns("CAA", list(records), name)


HTTP = {
    "ok": lambda case: None,
    "trailing newline": lambda case: case.says(network.response(200, case.proof.encode() + b"\r\n\t")),
    "trailing white space": lambda case: case.says(network.response(200, case.proof.encode() + b" ")),
    "wrong body": lambda case: case.says(network.response(200, b"something else")),
    "empty body": lambda case: case.says(network.response(200)),
    "body of 200 bytes": lambda case: case.says(network.response(200, b"x" * 200)),
    "204": lambda case: case.says(b"HTTP/1.1 204 Nothing\r\nConnection: close\r\n\r\n"),
    "404": lambda case: case.says(network.response(404, b"not here")),
    "502": lambda case: case.says(network.response(502)),
    "truncated body": lambda case: case.says(network.response(200, case.proof.encode())[:-5]),
    "slow body": lambda case: http_slow(case, network.response(200, case.proof.encode())[:-5]),
    "slow headers": lambda case: http_slow(case, b""),
    "refused": lambda case: case.dns("A", [network.NOBODY]),
    "reset": lambda case: case.page(lambda connection, *_: network.reset(connection)),
    "end of file": lambda case: case.says(b""),
    "garbage": lambda case: case.says(b"\x00\x00\x12\x04garbage\r\n\r\n"),
    "redirect loop": lambda case: http_redirect(case, case.path),
    "eleven redirects": lambda case: http_redirects(case, 11),
    "redirect elsewhere": http_elsewhere,
    "303": lambda case: http_redirect(case, "/proof", 303),
    "redirect to gopher": lambda case: http_redirect(case, f"gopher://{case.name}/"),
    "redirect to another port": lambda case: http_redirect(case, f"http://{case.name}:8080/proof"),
    "NXDOMAIN": lambda case: all_addresses(case, "NXDOMAIN"),
    "SERVFAIL": lambda case: all_addresses(case, "SERVFAIL"),
    "REFUSED": lambda case: all_addresses(case, "REFUSED"),
    "no address": lambda case: all_addresses(case, []),
    "no DNS answer": lambda case: all_addresses(case, "drop"),
    "IPv6 dead, IPv4 good": lambda case: case.dns("AAAA", ["::1"]),
    "alias": lambda case: [case.dns(kind, ("alias", f"target.{case.name}.")) for kind in ("A", "AAAA")],
    "CAA allows": lambda case: caa(case, f'0 issue "{IDENTITY["boulder"]}"', '0 issue "other.test"'),
    "CAA forbids": lambda case: caa(case, '0 issue "other.test"'),
    "CAA of the parent forbids": lambda case: caa(case, '0 issue ";"', name=case.name.partition(".")[2]),
    "CAA for the account": lambda case: caa(case, f'0 issue "{IDENTITY["boulder"]}; accounturi={case.client.kid}"'),
    "CAA for another account": lambda case: caa(case, f'0 issue "{IDENTITY["boulder"]}; accounturi={case.client.kid}0"'),
    "CAA for http-01": lambda case: caa(case, f'0 issue "{IDENTITY["boulder"]}; validationmethods=dns-01,http-01"'),
    "CAA for dns-01 only": lambda case: caa(case, f'0 issue "{IDENTITY["boulder"]}; validationmethods=dns-01"'),
    "CAA with a critical unknown tag": lambda case: caa(case, f'0 issue "{IDENTITY["boulder"]}"', '128 unknown "x"'),
    "CAA SERVFAIL": lambda case: case.dns("CAA", "SERVFAIL"),
}
DNS = {
    "ok": lambda case: case.txt(['"other"', f'"{serving.b64(case.digest.digest())}"']),
    "cut short in UDP": lambda case: case.txt(("cut", [f'"{serving.b64(case.digest.digest())}"'])),
    "second try": lambda case: case.txt(("then", "drop", [f'"{serving.b64(case.digest.digest())}"'])),
    "alias": lambda case: [
        case.txt(("alias", f"target.{case.name}.")),
        case.dns("TXT", [f'"{serving.b64(case.digest.digest())}"'], f"target.{case.name}"),
    ],
    "wrong TXT": lambda case: case.txt(['"something else"']),
    "three wrong TXT": lambda case: case.txt([f'"{"y" * 120}{i}"' for i in range(3)]),
    "no TXT": lambda case: case.txt([]),
    "NXDOMAIN": lambda case: case.txt("NXDOMAIN"),
    "SERVFAIL": lambda case: case.txt("SERVFAIL"),
    "REFUSED": lambda case: case.txt("REFUSED"),
    "no DNS answer": lambda case: case.txt("drop"),
    "garbage": lambda case: case.txt("garbage"),
}


def tls_hang(case):
    case.net.handshakes[case.name] = case.net.hang


TLS = {
    "ok": lambda case: case.shakes([case.name], case.proof),
    "name in capitals": lambda case: case.shakes([case.name.upper()], case.proof),
    "refused": lambda case: case.dns("A", [network.NOBODY]),
    "reset": lambda case: None,  # what the network does for a name that it does not know
    "slow headers": tls_hang,
    "NXDOMAIN": lambda case: all_addresses(case, "NXDOMAIN"),
    "alert handshake_failure": lambda case: case.tls_says(network.ALERT_HANDSHAKE_FAILURE),
    "alert no_application_protocol": lambda case: case.tls_says(network.ALERT_NO_APPLICATION_PROTOCOL),
    "HTTP": lambda case: case.tls_says(network.response(400)),
    "no ALPN": lambda case: case.shakes([case.name], case.proof, alpn=()),
    "not self-signed": lambda case: case.shakes([case.name], case.proof, issued=True),
    "wrong name": lambda case: case.shakes([f"other.{case.name}"], case.proof),
    "two names": lambda case: case.shakes([case.name, f"other.{case.name}"], case.proof),
    "address as name": lambda case: case.shakes([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))], case.proof),
    "no extension": lambda case: case.shakes([case.name], case.proof, extension=False),
    "extension of the drafts": lambda case: case.shakes([case.name], case.proof, number=network.OF_THE_DRAFTS),
    "not critical": lambda case: case.shakes([case.name], case.proof, critical=False),
    "malformed extension": lambda case: case.shakes([case.name], case.proof, value=b"\x04\x03abc"),
    "wrong digest": lambda case: case.shakes([case.name], None),
}
CONDITIONS = {"http-01": HTTP, "dns-01": DNS, "tls-alpn-01": TLS}

# --- the walk ---

Walked = collections.namedtuple("Walked", "case challenge")


def walk(server, net, row, name):
    """Meets the condition; returns the challenge as it ends."""
    client = serving.Client(server)
    client.register().ok(201)
    order = client.order(name)
    challenge = order.challenge(kind=row["challenge"])
    case = Case(net, name, client, challenge)
    CONDITIONS[row["challenge"]][row["condition"]](case)
    client.post(challenge["url"], {}).ok()

    for _ in range(4 * serving.PATIENCE_S):
        seen = client.post(challenge["url"]).ok().json()
        if seen["status"] in ("valid", "invalid") or "error" in seen:
            break
        serving.pause(0.25)
    client.close()
    return Walked(case, seen)


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """What became of each row. Those of one profile are walked side by side: most of their time is waiting."""
    found = {}
    with network.network_running() as net:
        for profile in PROFILES:
            rows = [row for row in ROWS if row["profile"] == profile]
            folder = tmp_path_factory.mktemp(profile)
            hasty = folder / f"{profile}.json"
            hasty.write_text(json.dumps({"title": "in a hurry", "base": profile, "query_timeout": QUERY_TIMEOUT}))
            options = ["--profile", hasty, "--dns-server", net.dns_server, "--tls-port", net.tls_port]
            with serving.serving(folder, *options, http_port=net.http_port) as server, concurrent.futures.ThreadPoolExecutor(16) as pool:
                started = {
                    label(row): pool.submit(walk, server, net, row, f"n{i}.p{i}.{profile}.test") for i, row in enumerate(rows)
                }
                found.update({name: one.result() for name, one in started.items()})
    return found


def label(row):
    return f"{row['profile']} {row['challenge']} {row['condition']}"


def pattern(text, values):
    """Values in braces, a star for anything."""
    return ".*".join(re.escape(part) for part in text.format(**values).split("*"))


def differences(row, walked):
    """What of the row is not as it was; an empty list: all of it is."""
    challenge, error = walked.challenge, walked.challenge.get("error", {})
    if "type" not in row:
        return [] if challenge["status"] == "valid" else [f"not valid: {challenge}"]
    values = walked.case.values()
    wrong = []
    if challenge["status"] != row.get("challenge_status", "invalid"):
        wrong.append(f"status {challenge['status']}")
    subproblem = error.get("subproblems", [error])[0]
    if subproblem.get("type") != serving.URN + row["type"]:
        wrong.append(f"type {error.get('type')}")
    if "status" in row and subproblem.get("status", row["status"]) != row["status"]:
        wrong.append(f"error.status {error.get('status')}")
    if not re.fullmatch(pattern(row["detail"], values), subproblem.get("detail", ""), re.DOTALL):
        wrong.append(f"detail {subproblem.get('detail')!r}, not {row['detail'].format(**values)!r}")
    return wrong


@pytest.mark.parametrize("row", ROWS, ids=label)
def test_row(row, walked):
    assert differences(row, walked[label(row)]) == []


def test_labels_are_unique():
    assert len({label(row) for row in ROWS}) == len(ROWS)


def test_every_condition_is_used():
    used = {(row["challenge"], row["condition"]) for row in ROWS}
    assert used == {(kind, condition) for kind, conditions in CONDITIONS.items() for condition in conditions}


@pytest.mark.parametrize("row", [row for row in ROWS if "type" in row], ids=label)
def test_a_wrong_row_fails(row, walked):
    """Each row can fail: by its type, its status, its text and the state of the challenge."""
    seen = walked[label(row)]
    for key, value in (("type", "rateLimited"), ("detail", row["detail"] + "!"), ("challenge_status", "valid")):
        assert differences({**row, key: value}, seen), key
    assert differences({key: row[key] for key in ("profile", "challenge", "condition")}, seen)
