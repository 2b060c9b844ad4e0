"""`acmedrill serve`: accounts, their keys, bindings, limits and pre-authorization, as RFC 8555 section 7.3 and its neighbours
want them. Requests are signed here, by Python's cryptography."""

import contextlib
import json

import pytest
import serving
from serving import GONE, Client, EdKey, RsaKey, p256


@contextlib.contextmanager
def a_ca(folder, **profile):
    """A CA whose profile differs from the RFC's by these members."""
    (folder / "profiles").mkdir(parents=True, exist_ok=True)
    (folder / "profiles" / "drilled.json").write_text(json.dumps({"title": "a CA for one test", **profile}))
    with pytest.MonkeyPatch.context() as patch, serving.target_running() as target:
        patch.setenv("ACMEDRILL_PROFILES", str(folder / "profiles"))
        with serving.serving(folder, "--profile", "drilled", "--speed", "10", http_port=target.port) as server:
            server.target = target
            yield server


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    with a_ca(tmp_path_factory.mktemp("plain")) as server:
        yield server


@pytest.fixture
def client(plain):
    client = Client(plain)
    client.register().ok(201)
    yield client
    client.close()


def lookup(server, key):
    """What newAccount says of a key that may have an account."""
    stranger = Client(server, key)
    reply = stranger.post(stranger.directory["newAccount"], {"onlyReturnExisting": True})
    stranger.close()
    return reply


# --- key change (7.3.5) ---


def inner_jws(client, key, payload=GONE, url=None, **members):
    """What the new key signs. Each argument replaces what would be right."""
    where = client.directory["keyChange"]
    if payload is GONE:
        payload = {"account": client.kid, "oldKey": client.key.jwk()}
    return Client(client.server, key).sign(url or where, payload, **{"nonce": GONE, **members})


def change_key(client, inner):
    return client.post(client.directory["keyChange"], inner)


@pytest.mark.parametrize("make", [p256, EdKey, lambda: RsaKey(2048)], ids=["P-256", "Ed25519", "RSA"])
def test_key_change(client, make):
    old, new = client.key, make()
    order = client.order("a.example.test")
    change_key(client, inner_jws(client, new)).ok(200)
    client.post(order.url).refused(400, "malformed")
    lookup(client.server, old).refused(400, "accountDoesNotExist")
    client.key = new
    assert order.read()["status"] == "pending"
    assert lookup(client.server, new).ok(200).headers["Location"] == client.kid
    # The old key is free again: for another account, or for this one.
    change_key(client, inner_jws(client, old)).ok(200)
    client.key = old
    assert client.post(client.kid).ok().json()["status"] == "valid"


def test_challenges_after_a_key_change_want_the_new_key(client):
    order = client.order("a.example.test")
    new = p256()
    change_key(client, inner_jws(client, new)).ok(200)
    client.key = new
    order.prove_all(client.server.target)


SPOILT = {
    "signed by another key": (lambda c, key: {"sign": p256().sign}, "signature"),
    "signed by the old key": (lambda c, key: {"sign": c.key.sign}, "signature"),
    "a bit of the payload": (lambda c, key: {"payload_sent": b'{"account":"x","oldKey":{}}'}, "signature"),
    "kid in place of jwk": (lambda c, key: {"jwk": GONE, "kid": c.kid}, "jwk"),
    "kid beside jwk": (lambda c, key: {"kid": c.kid}, "both"),
    "a nonce": (lambda c, key: {"nonce": c.nonce()}, "nonce"),
    "an empty nonce": (lambda c, key: {"nonce": "?"}, "nonce"),
    "another url": (lambda c, key: {"url": c.directory["newOrder"]}, "outer"),
    "another account": (lambda c, key: {"payload": {"account": c.kid + "9", "oldKey": c.key.jwk()}}, "signed by"),
    "no account": (lambda c, key: {"payload": {"oldKey": c.key.jwk()}}, "account"),
    "no oldKey": (lambda c, key: {"payload": {"account": c.kid}}, "oldKey"),
    "a draft's newKey": (lambda c, key: {"payload": {"account": c.kid, "newKey": key.jwk()}}, "oldKey"),
    "the new key as oldKey": (lambda c, key: {"payload": {"account": c.kid, "oldKey": key.jwk()}}, "at present"),
    "no JWK as oldKey": (lambda c, key: {"payload": {"account": c.kid, "oldKey": {}}}, "at present"),
    "a list for payload": (lambda c, key: {"payload": []}, "payload"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_key_change_refused(client, case):
    new = p256()
    spoil, word = SPOILT[case]
    problem = change_key(client, inner_jws(client, new, **spoil(client, new))).refused(400, "malformed")
    assert word in problem["detail"], problem
    lookup(client.server, new).refused(400, "accountDoesNotExist")
    client.post(client.kid).ok()
    # The check can pass: without what was spoilt the same request is taken.
    change_key(client, inner_jws(client, new)).ok(200)


@pytest.mark.parametrize("payload", [None, {}, [], "text", {"protected": "", "payload": ""}], ids=str)
def test_key_change_without_an_inner_jws(client, payload):
    assert "inner JWS" in change_key(client, payload).refused(400, "malformed")["detail"]


def test_key_change_to_a_bad_key(client):
    bad = dict(p256().jwk(), y=serving.b64(bytes(32)))
    change_key(client, inner_jws(client, p256(), jwk=bad)).refused(400, "badPublicKey")
    mac = inner_jws(client, p256(), alg="HS256")
    change_key(client, mac).refused(400, "badSignatureAlgorithm")


def test_key_change_to_a_key_that_is_taken(client):
    other = Client(client.server)
    other.register().ok(201)
    reply = change_key(client, inner_jws(client, other.key))
    reply.refused(409, "malformed")
    assert reply.headers["Location"] == other.kid
    reply = change_key(client, inner_jws(client, client.key))
    reply.refused(409, "malformed")
    assert reply.headers["Location"] == client.kid
    client.post(client.kid).ok()
    other.post(other.kid).ok()
    other.close()


def test_key_change_of_a_deactivated_account(client):
    inner = inner_jws(client, p256())
    client.post(client.kid, {"status": "deactivated"}).ok()
    change_key(client, inner).refused(401, "unauthorized")
