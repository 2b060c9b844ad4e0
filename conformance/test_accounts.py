"""`acmedrill serve`: accounts, their keys, bindings, limits and pre-authorization, as RFC 8555 section 7.3 and its neighbours
want them. Requests are signed here, by Python's cryptography."""

import contextlib
import email.utils
import hmac
import json
import re
import time

import josepy
import pytest
import serving
from acme import messages
from acme.client import ClientNetwork, ClientV2
from cryptography.hazmat.primitives.asymmetric import ec
from serving import GONE, Client, EdKey, RsaKey, p256


@contextlib.contextmanager
def a_ca(folder, **profile):
    """A CA whose profile differs from the RFC's by these members."""
    with serving.target_running() as target:
        options = ["--profile", serving.profile_file(folder, **profile), "--speed", "10"]
        with serving.serving(folder, *options, http_port=target.port) as server:
            server.target = target
            yield server


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    with a_ca(tmp_path_factory.mktemp("plain"), pre_authorization=True) as server:
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


# --- external accounts (7.3.4) ---

MAC_KEY = b"a MAC key for drills, 32 octets."
OTHER_KEY = bytes(range(64))
EXTERNAL = {"kid-1": serving.b64(MAC_KEY), "of /another+kind": serving.b64(OTHER_KEY)}
HASHES = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}


@pytest.fixture(scope="module")
def binding_ca(tmp_path_factory):
    folder = tmp_path_factory.mktemp("binding")
    with a_ca(folder, external_account_required=True, external_accounts=EXTERNAL) as server:
        yield server


def binding(client, kid="kid-1", mac_key=MAC_KEY, alg="HS256", payload=None, sign=None, **members):
    """The inner JWS; members change its header, GONE leaves one out."""
    header = {"alg": alg, "kid": kid, "url": client.directory["newAccount"], **members}
    protected = serving.b64(json.dumps({name: value for name, value in header.items() if value is not GONE}).encode())
    payload = serving.b64(json.dumps(client.key.jwk() if payload is None else payload).encode())
    octets = f"{protected}.{payload}".encode()
    signature = sign(octets) if sign else hmac.new(mac_key, octets, HASHES.get(alg, "sha256")).digest()
    return {"protected": protected, "payload": payload, "signature": serving.b64(signature)}


@pytest.mark.parametrize("alg", HASHES)
@pytest.mark.parametrize("kid,mac_key", [("kid-1", MAC_KEY), ("of /another+kind", OTHER_KEY)])
def test_external_account(binding_ca, alg, kid, mac_key):
    client = Client(binding_ca)
    assert client.directory["meta"]["externalAccountRequired"] is True
    bound = binding(client, kid, mac_key, alg)
    assert client.register(externalAccountBinding=bound).ok(201).json()["externalAccountBinding"] == bound
    assert client.post(client.kid, {"externalAccountBinding": {}}).ok().json()["externalAccountBinding"] == bound
    assert lookup(binding_ca, client.key).ok(200).json()["externalAccountBinding"] == bound
    client.order("a.example.test")
    client.close()


def spoil_mac(mac_key, spoil):
    return lambda octets: spoil(hmac.new(mac_key, octets, "sha256").digest())


BAD_BINDINGS = {
    "the key of another": ({"mac_key": OTHER_KEY}, 403, "unauthorized", "MAC"),
    "one bit": ({"sign": spoil_mac(MAC_KEY, lambda mac: mac[:-1] + bytes([mac[-1] ^ 1]))}, 403, "unauthorized", "MAC"),
    "a short MAC": ({"sign": spoil_mac(MAC_KEY, lambda mac: mac[:16])}, 403, "unauthorized", "MAC"),
    "no MAC": ({"sign": lambda _: b""}, 403, "unauthorized", "MAC"),
    "an unknown kid": ({"kid": "kid-2"}, 403, "unauthorized", "kid-2"),
    "an empty kid": ({"kid": ""}, 403, "unauthorized", "identifier"),
    "no kid": ({"kid": GONE}, 400, "malformed", "neither"),
    "a nonce": ({"nonce": "bm9uY2U"}, 400, "malformed", "nonce"),
    "another url": ({"url": "https://ca.test/new-account"}, 400, "malformed", "https://ca.test/new-account"),
    "no url": ({"url": GONE}, 400, "malformed", "url"),
    "the key of someone else": ({"payload": p256().jwk()}, 400, "malformed", "payload"),
    "no key": ({"payload": {}}, 400, "malformed", "payload"),
    "no alg": ({"alg": "none"}, 400, "badSignatureAlgorithm", "HS256"),
    "a signature": ({"alg": "ES256", "sign": p256().sign}, 400, "badSignatureAlgorithm", "ES256"),
}


@pytest.mark.parametrize("case", BAD_BINDINGS)
def test_external_account_refused(binding_ca, case):
    changes, status, kind, word = BAD_BINDINGS[case]
    client = Client(binding_ca)
    problem = client.register(externalAccountBinding=binding(client, **changes)).refused(status, kind)
    assert word in problem["detail"], problem
    if kind == "badSignatureAlgorithm":
        assert problem["algorithms"] == list(HASHES)
    lookup(binding_ca, client.key).refused(400, "accountDoesNotExist")
    client.register(externalAccountBinding=binding(client)).ok(201)
    client.close()


@pytest.mark.parametrize("value", ["text", {}, {"protected": "", "payload": "", "signature": ""}, 7], ids=str)
def test_no_jws_for_binding(binding_ca, value):
    client = Client(binding_ca)
    client.register(externalAccountBinding=value).refused(400, "malformed")
    client.register().refused(403, "externalAccountRequired")
    lookup(binding_ca, client.key).refused(400, "accountDoesNotExist")
    client.close()


def test_a_mac_signs_no_request(binding_ca):
    client = Client(binding_ca)
    reply = client.post(client.directory["newAccount"], {}, alg="HS256")
    assert "HS256" not in reply.refused(400, "badSignatureAlgorithm")["algorithms"]
    client.close()


def test_external_account_by_the_acme_library(binding_ca):
    account = josepy.JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
    net = ClientNetwork(account, alg=josepy.ES256, verify_ssl=str(binding_ca.trust), timeout=serving.PATIENCE_S)
    client = ClientV2(ClientV2.get_directory(binding_ca.directory_url, net), net)
    bound = messages.ExternalAccountBinding.from_data(
        account_public_key=account.public_key(), kid="kid-1", hmac_key=EXTERNAL["kid-1"], directory=client.directory
    )
    registration = messages.NewRegistration.from_data(
        email="drill@example.test", terms_of_service_agreed=True, external_account_binding=bound
    )
    assert client.new_account(registration).body.external_account_binding == bound
    net.session.close()


def test_a_binding_that_nobody_can_verify_is_not_shown(plain):
    client = Client(plain)
    assert "externalAccountBinding" not in client.register(externalAccountBinding=binding(client)).ok(201).json()
    assert "externalAccountRequired" not in client.directory["meta"]
    client.close()


# --- updates, lists, terms (7.3.2, 7.1.2.1, 7.3.3) ---


def test_updates(client):
    url, contact = client.kid, ["mailto:a@example.test", "mailto:b@example.test"]
    assert client.post(url, {"contact": contact}).ok().json()["contact"] == contact
    for ignored in [
        {},
        {"status": "valid"},
        {"status": "revoked"},
        {"status": "pending"},
        {"termsOfServiceAgreed": False, "orders": "x", "onlyReturnExisting": True, "more": {"contact": []}},
    ]:
        document = client.post(url, ignored).ok().json()
        assert document["contact"] == contact and document["termsOfServiceAgreed"] is True
        assert document["orders"].startswith(url) and not {"more", "onlyReturnExisting"} & set(document)
    for refused, kind in [
        ({"contact": "mailto:a@example.test"}, "malformed"),
        ({"contact": ["tel:1"]}, "unsupportedContact"),
        ({"contact": ["mailto:a@example.test", "mailto:a b@example.test"]}, "invalidContact"),
    ]:
        client.post(url, refused).refused(400, kind)
    assert client.post(url).ok().json()["contact"] == contact
    assert "contact" not in client.post(url, {"contact": []}).ok().json()


def test_update_by_the_acme_library(plain):
    """What certbot does to change its contacts: it sends the whole object back, "status": "valid" and all."""
    account_key = josepy.JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
    net = ClientNetwork(account_key, alg=josepy.ES256, verify_ssl=str(plain.trust), timeout=serving.PATIENCE_S)
    client = ClientV2(ClientV2.get_directory(plain.directory_url, net), net)
    account = client.new_account(messages.NewRegistration.from_data(email="a@example.test", terms_of_service_agreed=True))
    assert account.body.status == "valid"
    changed = account.update(body=account.body.update(contact=("mailto:b@example.test",)))
    assert client.update_registration(changed).body.emails == ("b@example.test",)
    net.session.close()


def test_only_return_existing_ignores_the_rest(client):
    rest = {"onlyReturnExisting": True, "termsOfServiceAgreed": True, "contact": ["tel:1"], "more": 1}
    stranger = Client(client.server)
    stranger.register(**rest).refused(400, "accountDoesNotExist")
    lookup(client.server, stranger.key).refused(400, "accountDoesNotExist")
    before = client.post(client.kid).ok().json()
    stranger.key = client.key
    assert stranger.register(**rest).ok(200).json() == before
    stranger.close()


def links(reply):
    found = {}
    for link in reply.headers.get_all("Link", []):
        url, relation = re.fullmatch(r'<([^>]*)>;rel="([^"]*)"', link).groups()
        found[relation] = url
    return found


def test_pages_of_orders(tmp_path):
    with a_ca(tmp_path, orders_per_page=3) as server:
        client = Client(server)
        where = client.register().ok(201).json()["orders"]
        made = [client.order("a.example.test") for _ in range(8)]
        client.post(made[4].authz_urls[0], {"status": "deactivated"}).ok()
        assert made[4].read()["status"] == "invalid"
        pages = []
        while where:
            reply = client.post(where).ok()
            assert links(reply)["index"] == server.directory_url
            pages.append(reply.json()["orders"])
            where = links(reply).get("next")
        assert [len(page) for page in pages] == [3, 3, 1]
        assert sum(pages, []) == [order.url for order in reversed(made) if order is not made[4]]
        other = Client(server)
        other.register().ok(201)
        other.post(client.kid + "/orders").refused(403, "unauthorized")
        other.close()
        client.close()


def test_terms(tmp_path):
    with a_ca(tmp_path, terms="terms/2030") as server:
        client = Client(server)
        terms = client.directory["meta"]["termsOfService"]
        assert terms == server.base + "/terms/2030"
        assert client.request("GET", terms).ok().body
        client.request("GET", server.base + "/terms").refused(404, "malformed")
        reply = client.register(termsOfServiceAgreed=False)
        assert reply.refused(403, "userActionRequired")["instance"] == terms
        assert links(reply)["terms-of-service"] == terms
        client.register().ok(201)
        client.order("a.example.test")
        client.close()


# --- pre-authorization (7.4.1) ---


def new_authz(client, value, kind="dns"):
    return client.post(client.directory["newAuthz"], {"identifier": {"type": kind, "value": value}})


def test_pre_authorization(client):
    reply = new_authz(client, "ahead.example.test").ok(201)
    url, document = reply.headers["Location"], reply.json()
    assert document["status"] == "pending" and document["identifier"] == {"type": "dns", "value": "ahead.example.test"}
    assert client.post(url).ok().json() == document
    assert new_authz(client, "ahead.example.test").ok(201).headers["Location"] == url
    challenge = next(c for c in document["challenges"] if c["type"] == "http-01")
    client.server.target.proofs[challenge["token"]] = f"{challenge['token']}.{serving.thumbprint(client.key)}"
    client.post(challenge["url"], {}).ok()
    assert serving.poll(client, url)["status"] == "valid"
    order = client.order("ahead.example.test")
    assert order.document["status"] == "ready" and order.authz_urls == [url]
    order.finalize(serving.csr_der(["ahead.example.test"])).ok()
    order.download()


@pytest.mark.parametrize(
    "identifier,status,kind",
    [
        (("*.example.test",), 400, "malformed"),
        (("a.example.test", "mail"), 400, "unsupportedIdentifier"),
        (("a..example.test",), 403, "rejectedIdentifier"),
        (("",), 400, "malformed"),
    ],
    ids=str,
)
def test_pre_authorization_refused(client, identifier, status, kind):
    new_authz(client, *identifier).refused(status, kind)
    new_authz(client, "a.example.test").ok(201)


def test_no_pre_authorization(tmp_path):
    with a_ca(tmp_path) as server:
        client = Client(server)
        assert "newAuthz" not in client.directory
        client.register().ok(201)
        client.post(server.base + "/new-authz", {}).refused(404, "malformed")
        client.close()


# --- rate limits (6.6) ---


def limited(reply):
    """The seconds of Retry-After."""
    reply.refused(429, "rateLimited")
    seconds = int(reply.headers["Retry-After"])
    assert seconds >= 1
    return seconds


def ask_for_order(client, *names):
    return client.post(client.directory["newOrder"], {"identifiers": [{"type": "dns", "value": name} for name in names]})


def test_limit_of_orders(tmp_path):
    """Ten times as fast as written: one order every six minutes."""
    with a_ca(tmp_path, rate_limits={"new-order": "2 per 2h"}) as server:
        client, other = Client(server), Client(server)
        client.register().ok(201)
        other.register().ok(201)
        client.order("a.example.test")
        client.order("a.example.test")
        reply = ask_for_order(client, "a.example.test")
        assert 300 <= limited(reply) <= 360
        assert "2 per 2h" in reply.problem()["detail"]
        help_text = client.request("GET", links(reply)["help"]).ok().body
        assert b"new-order: 2 per 2h" in help_text and b"new-account: none" in help_text
        other.order("a.example.test")
        client.close()
        other.close()


def test_limit_and_the_time_of_the_next_order(tmp_path):
    """Ten times as fast as written: one order every two seconds, and Retry-After says when."""
    with a_ca(tmp_path, rate_limits={"new-order": "1 per 20s"}) as server:
        client = Client(server)
        client.register().ok(201)
        start = time.monotonic()
        client.order("a.example.test")
        while (reply := ask_for_order(client, "a.example.test")).status != 201:
            assert limited(reply) <= 2
            serving.pause(0.1)
        assert time.monotonic() - start >= 2
        client.close()


def test_limit_of_accounts(tmp_path):
    with a_ca(tmp_path, rate_limits={"new-account": "1 per 1h"}, retry_after="date") as server:
        client, other = Client(server), Client(server)
        client.register().ok(201)
        reply = other.register()
        reply.refused(429, "rateLimited")
        at = email.utils.parsedate_to_datetime(reply.headers["Retry-After"])
        now = email.utils.parsedate_to_datetime(reply.headers["Date"])
        assert 300 <= (at - now).total_seconds() <= 362
        client.register().ok(200)
        other.close()
        client.close()


def test_limit_of_failed_validations(tmp_path):
    with a_ca(tmp_path, rate_limits={"failed-validation": "1 per 7d"}, retry="none", pre_authorization=True) as server:
        server.target.start("wrong-body")
        client = Client(server)
        client.register().ok(201)
        order = client.order("a.example.test")
        order.answer(server.target)[1].ok()
        order.poll("invalid")
        reply = ask_for_order(client, "b.example.test", "a.example.test")
        assert 60000 < limited(reply) <= 60480
        assert [p["identifier"]["value"] for p in reply.problem()["subproblems"]] == ["a.example.test"]
        limited(new_authz(client, "a.example.test"))
        client.order("b.example.test")
        client.close()


def test_limit_of_duplicates(tmp_path):
    with a_ca(tmp_path, rate_limits={"duplicate-certificate": "1 per 7d"}) as server:
        names = ["a.example.test", "b.example.test"]
        for key in ("first", "second"):
            client = Client(server)
            client.register().ok(201)
            if key == "first":
                order = client.order(*names)
                order.prove_all(server.target)
                order.finalize(serving.csr_der(names)).ok()
                order.download()
            limited(ask_for_order(client, *reversed(names)))  # whoever asks, in whatever order
            client.order("a.example.test")
            client.close()
