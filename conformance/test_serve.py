"""`acmedrill serve`, met over HTTPS by clients that share no code with it: it issues, and it admits what RFC 8555 section 6
admits and nothing else."""

import datetime
import json
import re

import pytest
import serving
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from serving import GONE, ROOT, Client, EcKey, EdKey, RsaKey, b64, csr, csr_der, p256

PROFILES = sorted(path.stem for path in (ROOT / "scenarios" / "profiles").glob("*.json"))
NAMES = ["a.example.test", "b.example.test"]


def dns(value):
    return {"type": "dns", "value": value}


@pytest.fixture(scope="module")
def target():
    with serving.target_running() as target:
        yield target


@pytest.fixture(scope="module")
def server(target, tmp_path_factory):
    with serving.serving(tmp_path_factory.mktemp("serve"), "--speed", "5", http_port=target.port) as server:
        yield server


@pytest.fixture
def client(server):
    """One whose account exists."""
    client = Client(server)
    client.register().ok(201)
    yield client
    client.close()


@pytest.fixture
def stranger(server):
    """One without an account."""
    client = Client(server)
    yield client
    client.close()


@pytest.fixture
def healthy(target):
    target.start("ok")
    return target


# --- issuance ---


def lifetime_of(profile):
    document = json.loads((ROOT / "scenarios" / "profiles" / f"{profile}.json").read_text())
    if "certificate_lifetime" not in document:
        document = json.loads((ROOT / "scenarios" / "profiles" / "rfc8555.json").read_text())
    return datetime.timedelta(days=int(re.fullmatch("([0-9]+)d", document["certificate_lifetime"]).group(1)))


def check_chain(chain, names, public_key, trust, folder):
    """Leaf and intermediate, signed one by the next, up to the root that the server wrote down."""
    root = x509.load_pem_x509_certificate(trust.read_bytes())
    assert len(chain) == 2
    leaf = chain[0]
    assert leaf.serial_number.bit_length() >= 64
    for below, above in zip(chain, [*chain[1:], root]):
        assert below.issuer == above.subject
        key = above.public_key()
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(below.signature, below.tbs_certificate_bytes, padding.PKCS1v15(), below.signature_hash_algorithm)
        else:
            key.verify(below.signature, below.tbs_certificate_bytes, ec.ECDSA(below.signature_hash_algorithm))
        limits = above.extensions.get_extension_for_class(x509.BasicConstraints)
        assert limits.critical and limits.value.ca
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    alternatives = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert sorted(alternatives.get_values_for_type(x509.DNSName)) == sorted(names)
    assert len(list(alternatives)) == len(names)
    assert ExtendedKeyUsageOID.SERVER_AUTH in leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert leaf.public_key().public_bytes(*form) == public_key.public_bytes(*form)
    good, said = serving.openssl_verifies(chain, trust, folder)
    assert good, said
    return leaf


def check_validity(leaf, lifetime, asked_at):
    assert leaf.not_valid_after - leaf.not_valid_before == lifetime
    assert abs((leaf.not_valid_before - asked_at).total_seconds()) < serving.PATIENCE_S


# Waits 20 minutes before it asks, and its time limit for the target shrinks like all its waits.
IN_NO_HURRY = {"zerossl": ["--speed", "1000", "--always-valid"]}


@pytest.mark.parametrize("profile", PROFILES)
def test_a_foreign_client_gets_a_certificate(profile, healthy, tmp_path):
    """For each temperament, with verification of the server's own certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    asked_at = datetime.datetime.utcnow()
    options = IN_NO_HURRY.get(profile, ["--speed", "5"])
    with serving.serving(tmp_path, "--profile", profile, *options, http_port=healthy.port) as server:
        assert server.head[0].startswith("acmedrill ") and f" {profile} " in server.head[0]
        chain = serving.foreign_certificate(server, healthy, NAMES, key)
        leaf = check_chain(chain, NAMES, key.public_key(), server.trust, tmp_path)
        check_validity(leaf, lifetime_of(profile), asked_at)
    if profile in IN_NO_HURRY:
        return
    asked = {}
    for fetch in healthy.fetches:
        assert fetch.path.startswith("/.well-known/acme-challenge/")
        asked.setdefault(fetch.host, set()).add(fetch.path)
    assert sorted(asked) == NAMES and all(len(paths) == 1 for paths in asked.values()), asked


KEYS = {
    "es256": p256,
    "es384": lambda: EcKey(ec.generate_private_key(ec.SECP384R1())),
    "eddsa": EdKey,
    "rs256": lambda: RsaKey(2048),
    "rs256-4096": lambda: RsaKey(4096),
}


@pytest.mark.parametrize("kind", KEYS)
def test_account_keys(kind, server, healthy, tmp_path):
    """Each kind that section 6.2 and its neighbours name signs the whole way, and its thumbprint is the proof's."""
    client = Client(server, KEYS[kind]())
    client.register(contact=["mailto:drill@example.test"]).ok(201)
    order = client.order(NAMES[0])
    order.prove_all(healthy)
    key = ec.generate_private_key(ec.SECP256R1())
    order.finalize(csr_der(NAMES[:1], key)).ok()
    check_chain(order.download(), NAMES[:1], key.public_key(), server.trust, tmp_path)
    assert Client(server, client.key).register().ok(200).headers["Location"] == client.kid
    client.close()


CERTIFICATE_KEYS = {
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
}


@pytest.mark.parametrize("kind", CERTIFICATE_KEYS)
def test_certificate_keys(kind, client, healthy, server, tmp_path):
    order = client.order(NAMES[0])
    order.prove_all(healthy)
    key = CERTIFICATE_KEYS[kind]()
    order.finalize(csr_der(NAMES[:1], key, common_name=NAMES[0])).ok()
    check_chain(order.download(), NAMES[:1], key.public_key(), server.trust, tmp_path)


def test_dates_that_were_asked_for(client, healthy):
    """Section 7.4: what the order says of them, the certificate has."""
    now = datetime.datetime.utcnow().replace(microsecond=0)
    since, until = now + datetime.timedelta(days=1), now + datetime.timedelta(days=3)
    reply = client.post(
        client.directory["newOrder"],
        {
            "identifiers": [{"type": "dns", "value": NAMES[0]}],
            "notBefore": since.isoformat() + "Z",
            "notAfter": until.isoformat() + "Z",
        },
    ).ok(201)
    order = serving.Order(client, reply.headers["Location"], reply.json())
    order.prove_all(healthy)
    order.finalize(csr_der(NAMES[:1])).ok()
    leaf = order.download()[0]
    assert (leaf.not_valid_before, leaf.not_valid_after) == (since, until)


# --- resources that need no account ---


def test_directory(stranger, server):
    reply = stranger.request("GET", server.directory_url).ok()
    directory = reply.json()
    assert {"newNonce", "newAccount", "newOrder", "meta"} <= set(directory)
    urls = [url for name, url in directory.items() if name != "meta"] + [directory["meta"]["termsOfService"]]
    assert all(url.startswith(server.base + "/") for url in urls) and len(set(urls)) == len(urls)
    assert "newAuthz" not in directory  # section 7.1.1: it offers no pre-authorization
    assert stranger.request("GET", directory["meta"]["termsOfService"]).ok().body
    head = stranger.request("HEAD", server.directory_url).ok()
    assert head.body == b"" and head.headers["Content-Type"] == reply.headers["Content-Type"]


def test_directory_of_a_ca_without_terms(tmp_path):
    with serving.serving(tmp_path, "--profile", "step-ca") as server:
        client = Client(server)
        assert "termsOfService" not in client.directory.get("meta", {})
        client.post(client.directory["newAccount"], {}).ok(201)


@pytest.mark.parametrize("method,status", [("HEAD", 200), ("GET", 204)])
def test_new_nonce(method, status, stranger):
    url = stranger.directory["newNonce"]
    replies = [stranger.request(method, url).ok(status) for _ in range(3)]
    nonces = [reply.headers["Replay-Nonce"] for reply in replies]
    assert len(set(nonces)) == 3
    for reply, nonce in zip(replies, nonces):
        assert re.fullmatch("[A-Za-z0-9_-]{16,}", nonce)
        assert "no-store" in reply.headers["Cache-Control"]
        assert f'<{stranger.server.directory_url}>;rel="index"' in reply.headers["Link"]
        assert reply.body == b""


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_what_is_not_a_post_is_refused(method, client):
    """Section 6.3: no plain GET but of the directory and newNonce."""
    order = client.order(NAMES[0])
    urls = [order.url, order.finalize_url, order.authz_urls[0], order.challenge()["url"], client.kid, f"{client.kid}/orders"]
    urls += [client.directory["newAccount"], client.directory["newOrder"]]
    for url in urls:
        reply = client.request(method, url)
        assert reply.status == 405, (url, reply)
        assert reply.headers["Allow"] == "POST"
        if method != "HEAD":
            reply.refused(405, "malformed")


@pytest.mark.parametrize("path", ["/", "/nothing", "/dir/", "/order/", "/order/0", "/order/01", "/order/-1", "/order/99999999999"])
def test_no_such_resource(path, client):
    client.request("GET", client.server.base + path).refused(404, "malformed")


@pytest.mark.parametrize(
    "path", ["order/4242", "order/4242/finalize", "authz/4242", "challenge/4242/http-01", "certificate/4242", "account/4242"]
)
def test_no_such_object(path, client):
    client.post(f"{client.server.base}/{path}").refused(404, "malformed")


# --- section 6.2: the envelope ---


def test_index_link_in_replies(client):
    order = client.order(NAMES[0])
    index = f'<{client.server.directory_url}>;rel="index"'
    challenge = order.challenge()
    for url in (order.url, order.authz_urls[0], challenge["url"], client.kid):
        assert index in client.post(url).ok().headers.get_all("Link")
    up = f'<{order.authz_urls[0]}>;rel="up"'
    assert up in client.post(challenge["url"]).ok().headers.get_all("Link")


def test_wrong_signature(client):
    other = p256()
    order = client.order(NAMES[0])
    client.post(order.url, sign=other.sign).refused(400, "malformed")
    client.post(order.url, sign=lambda message: b"\0" * 64).refused(400, "malformed")
    client.post(order.url, sign=lambda message: b"").refused(400, "malformed")
    client.post(order.url, sign=lambda message: client.key.sign(message) + b"\0").refused(400, "malformed")
    client.post(order.url, payload=b"", payload_sent=b"{}").refused(400, "malformed")
    jws = client.sign(order.url, None)
    flipped = bytearray(serving.unb64(jws["signature"]))
    flipped[20] ^= 1
    client.send(order.url, {**jws, "signature": b64(bytes(flipped))}).refused(400, "malformed")
    client.post(order.url).ok()


def test_der_encoded_signature(client):
    """JWA wants r and s side by side; what ASN.1 libraries write is another encoding of the same signature."""
    client.post(client.kid, sign=client.key.sign_der).refused(400, "malformed")
    client.post(client.kid).ok()


def test_key_of_another_account(client, server):
    other = Client(server)
    other.register().ok(201)
    order = client.order(NAMES[0])
    client.post(order.url, kid=other.kid).refused(400, "malformed")  # signed by the wrong key
    for url in (order.url, order.authz_urls[0], order.challenge()["url"], client.kid, order.finalize_url):
        other.post(url).refused(403, "unauthorized")
    assert order.read()["status"] == "pending"


def test_wrong_url(client):
    order = client.order(NAMES[0])
    for url in (
        f"{order.url}x",
        order.authz_urls[0],
        order.url.replace("https:", "http:"),
        order.url.replace("https:", "HTTPS:"),
        order.url.replace("localhost", "127.0.0.1"),
        order.url.replace("order", "%6frder"),
        f"{order.url}?",
        f"{order.url}/",
        "",
    ):
        problem = client.post(order.url, url=url).refused(403, "unauthorized")
        assert order.url in problem["detail"]
    for url in (GONE, 7, None):
        client.post(order.url, url=url).refused(400, "malformed")
    client.post(order.url).ok()


def test_nonces_are_used_once(client):
    order = client.order(NAMES[0])
    nonce = client.nonce()
    client.post(order.url, nonce=nonce).ok()
    for _ in range(2):
        reply = client.post(order.url, nonce=nonce)
        reply.refused(400, "badNonce")
        assert reply.headers["Replay-Nonce"] != nonce
    client.post(order.url).ok()  # with the nonce of the refusal


def test_a_nonce_of_a_refused_request_is_spent(client):
    order = client.order(NAMES[0])
    nonce = client.nonce()
    client.post(order.url, nonce=nonce, sign=p256().sign).refused(400, "malformed")
    client.post(order.url, nonce=nonce).refused(400, "badNonce")


@pytest.mark.parametrize("nonce", [GONE, "AAAA", "A" * 22, "A" * 10000], ids=str)
def test_nonces_that_were_never_given(nonce, client):
    client.post(client.kid, nonce=nonce).refused(400, "badNonce")
    client.post(client.kid).ok()


@pytest.mark.parametrize("nonce", ["", "not base64url!", "AA==", 5, {}], ids=str)
def test_nonces_that_are_none(nonce, client):
    """Section 6.5.2. The reply brings a good nonce all the same."""
    client.post(client.kid, nonce=nonce).refused(400, "malformed")
    client.post(client.kid).ok()


def test_one_nonce_on_two_connections(client):
    """Of two requests at once at most one is processed."""
    jws = json.dumps(client.sign(client.kid, None)).encode()
    twins = [Client(client.server) for _ in range(2)]
    for twin in twins:
        twin.request("GET", client.server.directory_url).ok()  # connects
        twin.connection.request("POST", client.kid.removeprefix(client.server.base), jws, {"Content-Type": "application/jose+json"})
    replies = [serving.Reply(twin.connection.getresponse()) for twin in twins]
    assert sorted(reply.status for reply in replies) == [200, 400], replies
    for twin in twins:
        twin.close()


@pytest.mark.parametrize("alg", ["none", "HS256", "PS256", "RS512", "ES512", "es256", "ES256 ", ""])
def test_algorithms_that_are_not_for_us(alg, client):
    problem = client.post(client.kid, alg=alg).refused(400, "badSignatureAlgorithm")
    assert sorted(problem["algorithms"]) == ["ES256", "ES384", "EdDSA", "RS256"]


@pytest.mark.parametrize("alg", ["ES384", "EdDSA", "RS256"])
def test_an_algorithm_of_another_key(alg, client):
    client.post(client.kid, alg=alg).refused(400, "malformed")


@pytest.mark.parametrize("alg", [GONE, 7, None])
def test_no_algorithm(alg, client):
    client.post(client.kid, alg=alg).refused(400, "malformed")


def test_jwk_and_kid(client):
    """One of them, and the one that belongs there."""
    jwk, kid, base = client.key.jwk(), client.kid, client.server.base
    new_account, new_order = client.directory["newAccount"], client.directory["newOrder"]
    agreed, wish = {"termsOfServiceAgreed": True}, {"identifiers": [dns(NAMES[0])]}
    client.post(new_order, wish, jwk=jwk).refused(400, "malformed")
    client.post(new_order, wish, kid=GONE).refused(400, "malformed")
    client.post(new_order, wish, kid=GONE, jwk=jwk).refused(400, "malformed")
    client.post(new_account, agreed, jwk=jwk).refused(400, "malformed")
    client.post(new_account, agreed).refused(400, "malformed")
    for wrong in (f"{base}/account/4242", f"{kid}0", f"{base}/order/1", kid.replace("https", "http"), "1", ""):
        client.post(new_order, wish, kid=wrong).refused(400, "accountDoesNotExist")
    for wrong in (7, None, [kid]):
        client.post(new_order, wish, kid=wrong).refused(400, "malformed")
    client.post(new_order, wish).ok(201)


@pytest.mark.parametrize("member", [{"crit": ["exp"], "exp": 1}, {"crit": []}, {"b64": False}, {"b64": True}])
def test_header_members_that_change_the_meaning(member, client):
    client.post(client.kid, **member).refused(400, "malformed")


def test_header_members_that_do_not(client):
    client.post(client.kid, typ="JOSE", cty="text", note=[1, 2, {"a": None}]).ok()


def test_envelopes_of_another_form(client):
    url = client.kid
    good = client.sign(url, None)
    general = {"payload": good["payload"], "signatures": [{"protected": good["protected"], "signature": good["signature"]}]}
    for wrong in (
        general,
        {**good, "signatures": []},
        {**good, "header": {"kid": client.kid}},
        {name: good[name] for name in ("protected", "payload")},
        {name: good[name] for name in ("protected", "signature")},
        {name: good[name] for name in ("payload", "signature")},
        {**good, "payload": None},
        {**good, "payload": 7},
        {**good, "protected": b64(b"[]")},
        {**good, "protected": b64(b"not json")},
        {**good, "protected": good["protected"] + "="},
        {**good, "signature": good["signature"] + "="},
        {**good, "signature": good["signature"] + "=="},
        {**good, "signature": good["signature"].replace(good["signature"][0], "+", 1)},
        {**good, "payload": "e30="},
        {**good, "payload": "e3 0"},
        [good],
        "",
    ):
        client.send(url, wrong).refused(400, "malformed")
    compact = ".".join(good[name] for name in ("protected", "payload", "signature")).encode()
    twice = json.dumps(good)[:-1].encode() + b',"payload":""}'
    for body in (compact, twice, b"", b"\0", b"\xff\xfe", b"[" * 100000, b"{" * 100000, b'{"payload":"' + b"A" * 1000):
        client.send(url, body).refused(400, "malformed")
    assert client.send(url, good).ok()  # none of them has used up its nonce
    assert client.order(NAMES[0])


def test_unknown_members_beside_the_jws_are_ignored(client):
    client.send(client.kid, {**client.sign(client.kid, None), "comment": "none"}).ok()


@pytest.mark.parametrize(
    "content_type", [None, "", "application/json", "text/plain", "application/jose", "application/x-www-form-urlencoded"]
)
def test_wrong_content_type(content_type, client):
    client.post(client.kid, content_type=content_type).refused(415, "malformed")
    client.post(client.kid, content_type="application/jose+json; charset=utf-8").ok()


def test_post_as_get_of_what_anybody_may_get(client):
    """Section 6.3 wants both ways; what can only be done is not read."""
    directory = client.directory
    assert client.post(client.server.directory_url).ok().json() == directory
    assert client.post(directory["newNonce"]).status in (200, 204)
    order = client.order(NAMES[0])
    for url in (directory["newOrder"], order.finalize_url):
        reply = client.post(url)
        assert reply.status in (400, 403) and reply.problem()["type"] in (serving.URN + "malformed", serving.URN + "orderNotReady")
    assert client.post(f"{client.kid}/orders").ok().json() == {"orders": [order.url]}


def test_reading_changes_nothing(client, healthy):
    order = client.order(NAMES[0])
    challenge = order.provide(healthy)
    before = [client.post(url).ok().json() for url in (order.url, order.authz_urls[0], challenge["url"], client.kid)]
    for _ in range(5):
        assert before == [client.post(url).ok().json() for url in (order.url, order.authz_urls[0], challenge["url"], client.kid)]
    assert healthy.fetches == []


def test_a_response_with_a_wrong_signature_starts_nothing(client, healthy):
    order = client.order(NAMES[0])
    challenge = order.provide(healthy)
    client.post(challenge["url"], {}, sign=p256().sign).refused(400, "malformed")
    for payload in (b"[]", b'"x"', b"5", b"{", b"null"):
        client.post(challenge["url"], payload).refused(400, "malformed")
    assert order.challenge() == challenge and healthy.fetches == []
    client.post(challenge["url"], {"keyAuthorization": "x", "token": "y", "status": "valid"}).ok()  # section 7.5.1: ignored
    assert serving.poll(client, challenge["url"])["token"] == challenge["token"]
    assert order.read()["status"] == "ready"


def test_post_as_get_has_no_payload(client, healthy):
    order = client.order(NAMES[0])
    for payload in (b"{}", b" ", b"null", b'{"status":"pending"}'):
        for url in (order.url, f"{client.kid}/orders"):
            client.post(url, payload).refused(400, "malformed")
    for payload in (b"{}", b" ", b"null", b'{"status":"valid"}', b'{"status":7}'):
        client.post(order.authz_urls[0], payload).refused(400, "malformed")
    order.prove_all(healthy)
    order.finalize(csr_der(NAMES[:1])).ok()
    url = order.poll("valid")["certificate"]
    client.post(url, b"{}").refused(400, "malformed")
    client.post(url).ok()


# --- keys ---


def test_rsa_keys_that_are_too_short(stranger):
    stranger.key = RsaKey(1024)
    problem = stranger.register().refused(400, "badPublicKey")
    assert "2048" in problem["detail"]


def test_curves_that_are_not_for_us(stranger):
    stranger.key = EcKey(ec.generate_private_key(ec.SECP521R1()))
    stranger.register().refused(400, "badSignatureAlgorithm")
    new_account = stranger.directory["newAccount"]
    stranger.post(new_account, {"termsOfServiceAgreed": True}, alg="ES256").refused(400, "badPublicKey")


def key_with_leading_zero():
    """One in 256 has a coordinate x that begins with a zero octet: the one that careless encoders write short."""
    while True:
        key = p256()
        if key.x[0] == 0:
            return key


def test_coordinates_have_their_full_length(stranger):
    """RFC 7518 section 6.2.1.2: the length of a coordinate is the curve's."""
    new_account, body = stranger.directory["newAccount"], {"termsOfServiceAgreed": True}
    stranger.key = key_with_leading_zero()
    jwk = stranger.key.jwk()
    stranger.post(new_account, body, jwk={**jwk, "x": b64(stranger.key.x.lstrip(b"\0"))}).refused(400, "badPublicKey")
    stranger.post(new_account, body, jwk={**jwk, "y": b64(b"\0" + stranger.key.y)}).refused(400, "badPublicKey")
    stranger.post(new_account, body).ok(201)


@pytest.mark.parametrize(
    "change",
    [
        {"x": "AAAA"},
        {"x": GONE},
        {"y": 7},
        {"y": b64(b"\1" * 32)},
        {"crv": "secp256k1"},
        {"crv": "P-384"},
        {"crv": GONE},
        {"kty": "oct"},
        {"d": b64(b"\1" * 32)},
        {"x": "=" * 44},
    ],
    ids=str,
)
def test_keys_that_are_none(change, stranger):
    jwk = {name: value for name, value in {**stranger.key.jwk(), **change}.items() if value is not GONE}
    reply = stranger.post(stranger.directory["newAccount"], {"termsOfServiceAgreed": True}, jwk=jwk)
    reply.refused(400, "badPublicKey")


@pytest.mark.parametrize("jwk", [{}, [], "x", None, {"kty": 7}], ids=str)
def test_what_is_no_key_at_all(jwk, stranger):
    reply = stranger.post(stranger.directory["newAccount"], {"termsOfServiceAgreed": True}, jwk=jwk)
    reply.refused(400, "malformed")


def test_rsa_numbers_of_another_form(stranger):
    stranger.key = RsaKey(2048)
    jwk, new_account = stranger.key.jwk(), stranger.directory["newAccount"]
    body = {"termsOfServiceAgreed": True}
    padded = b64(b"\0" + serving.unb64(jwk["n"]))  # RFC 7518 section 6.3.1.1 warns of this one
    for wrong in ({"n": padded}, {"e": "AQ"}, {"e": "AAEAAQ"}, {"n": ""}, {"n": b64(b"\xff" * 5000)}):
        stranger.post(new_account, body, jwk={**jwk, **wrong}).refused(400, "badPublicKey")
    stranger.post(new_account, body).ok(201)


# --- accounts ---


def test_accounts(stranger):
    stranger.register(onlyReturnExisting=True).refused(400, "accountDoesNotExist")
    reply = stranger.post(stranger.directory["newAccount"], {})
    reply.refused(403, "userActionRequired")
    assert any('rel="terms-of-service"' in link for link in reply.headers.get_all("Link"))
    stranger.register(contact=["tel:+12025551212"]).refused(400, "unsupportedContact")
    stranger.register(contact=["mailto:nobody"]).refused(400, "invalidContact")
    first = stranger.register(contact=["mailto:drill@example.test"]).ok(201)
    account = first.json()
    assert account["status"] == "valid" and account["contact"] == ["mailto:drill@example.test"]
    again = stranger.register(onlyReturnExisting=True).ok(200)
    assert again.headers["Location"] == first.headers["Location"] and again.json() == account
    changed = stranger.post(stranger.kid, {"contact": ["mailto:other@example.test"]}).ok().json()
    assert changed["contact"] == ["mailto:other@example.test"]
    assert stranger.post(stranger.kid).ok().json() == changed
    order = stranger.order(NAMES[0])
    assert stranger.post(account["orders"]).ok().json() == {"orders": [order.url]}
    assert stranger.post(stranger.kid, {"status": "deactivated"}).ok().json()["status"] == "deactivated"
    stranger.post(order.url).refused(401, "unauthorized")
    kid = stranger.kid
    stranger.register().refused(401, "unauthorized")
    stranger.kid = kid
    stranger.post(stranger.directory["newOrder"], {}).refused(401, "unauthorized")


# --- orders, and the CSR ---


def new_order(client, *identifiers):
    return client.post(client.directory["newOrder"], {"identifiers": list(identifiers)})


@pytest.mark.parametrize(
    "identifier,kind",
    [
        ({"type": "ip", "value": "127.0.0.1"}, "unsupportedIdentifier"),
        ({"type": "email", "value": "a@b.test"}, "unsupportedIdentifier"),
        (dns("127.0.0.1"), "rejectedIdentifier"),
        (dns("no-dot"), "rejectedIdentifier"),
        (dns("-a.example.test"), "rejectedIdentifier"),
        (dns("a..example.test"), "rejectedIdentifier"),
        (dns("a.*.example.test"), "rejectedIdentifier"),
        (dns("*"), "rejectedIdentifier"),
        (dns("b\u00fccher.example.test"), "malformed"),
        (dns("a b.example.test"), "malformed"),
        (dns("a/b.example.test"), "malformed"),
        (dns(""), "malformed"),
        (dns("a." * 127 + "test"), "malformed"),
    ],
    ids=str,
)
def test_names_that_get_no_order(identifier, kind, client):
    new_order(client, identifier).refused(400, kind)


def test_two_bad_names_are_two_subproblems(client):
    problem = new_order(client, dns("no-dot"), dns(NAMES[0]), dns("127.0.0.1")).refused(400, "rejectedIdentifier")
    assert sorted(sub["identifier"]["value"] for sub in problem["subproblems"]) == ["127.0.0.1", "no-dot"]
    assert all(sub["type"] == problem["type"] for sub in problem["subproblems"])


@pytest.mark.parametrize(
    "payload",
    [b"", b"null", b"[]", b"{}", b'{"identifiers":[]}', b'{"identifiers":{}}', b'{"identifiers":[7]}', b"{"],
    ids=str,
)
def test_orders_that_are_none(payload, client):
    client.post(client.directory["newOrder"], payload).refused(400, "malformed")


def test_names_are_folded(client):
    """Upper case, and the same name twice, are one name."""
    order = client.order("A.Example.TEST", "a.example.test", "b.example.test")
    assert sorted(i["value"] for i in order.document["identifiers"]) == NAMES and len(order.authz_urls) == 2


def test_a_new_order(client):
    order = client.order(*NAMES)
    document = order.document
    assert document["status"] == "pending"
    assert sorted(i["value"] for i in document["identifiers"]) == NAMES
    assert len(set(order.authz_urls)) == 2
    expires = datetime.datetime.strptime(document["expires"], "%Y-%m-%dT%H:%M:%SZ")
    assert datetime.timedelta(days=6) < expires - datetime.datetime.utcnow() < datetime.timedelta(days=8)
    assert "certificate" not in document and "error" not in document
    assert order.read() == document
    names, tokens = set(), set()
    for i in range(2):
        authz = order.authz(i)
        names.add(authz["identifier"]["value"])
        assert authz["status"] == "pending" and "wildcard" not in authz
        assert sorted(c["type"] for c in authz["challenges"]) == ["dns-01", "http-01", "tls-alpn-01"]
        for challenge in authz["challenges"]:
            assert challenge["status"] == "pending" and "validated" not in challenge and "error" not in challenge
            assert re.fullmatch("[A-Za-z0-9_-]{22,}", challenge["token"])  # 128 bits
            assert client.post(challenge["url"]).ok().json() == challenge
            tokens.add(challenge["token"])
    assert sorted(names) == NAMES and len(tokens) == 6


def test_wildcards_are_for_dns_01(client):
    authz = client.order("*.example.test").authz()
    assert authz["identifier"] == dns("example.test") and authz["wildcard"] is True
    assert [c["type"] for c in authz["challenges"]] == ["dns-01"]


def test_authz_can_be_deactivated(client):
    order = client.order(NAMES[0])
    url = order.authz_urls[0]
    assert client.post(url, {"status": "deactivated"}).ok().json()["status"] == "deactivated"
    assert order.read()["status"] == "invalid"
    client.post(url, {"status": "deactivated"}).refused(400, "malformed")


def test_finalize_before_it_is_ready(client, healthy):
    order = client.order(*NAMES)
    problem = order.finalize(csr_der(NAMES)).refused(403, "orderNotReady")
    assert "pending" in problem["detail"]
    order.answer(healthy, 0)[1].ok()
    serving.poll(client, order.authz_urls[0])
    order.finalize(csr_der(NAMES)).refused(403, "orderNotReady")
    assert order.read()["status"] == "pending"  # section 7.4: it stays what it was
    order.answer(healthy, 1)[1].ok()
    order.poll("ready")
    order.finalize(csr_der(NAMES)).ok()
    order.finalize(csr_der(NAMES)).refused(403, "orderNotReady")  # nor once it is valid
    assert order.poll("valid")


def test_csr_of_another_version_where_the_ca_does_not_look(tmp_path, healthy):
    with serving.serving(tmp_path, "--profile", "boulder", "--speed", "100", "--always-valid") as server:
        client = Client(server)
        client.register().ok(201)
        order = client.order(*NAMES)
        order.prove_all(healthy)
        order.finalize(serving.csr_of_version(2, NAMES)).ok()
        order.download()


def other_signature(der):
    """The same request with a signature that is not its own."""
    broken = bytearray(der)
    broken[-5] ^= 1
    return bytes(broken)


def test_csr_with_wrong_names(client, healthy):
    order = client.order(*NAMES)
    order.prove_all(healthy)
    for names in (NAMES[:1], [*NAMES, "c.example.test"], [NAMES[0], "c.example.test"], ["*.example.test"], []):
        order.finalize(csr_der(names)).refused(400, "badCSR")
    order.finalize(csr_der(NAMES, common_name="c.example.test")).refused(400, "badCSR")
    order.finalize(csr_der(NAMES, client.key.private)).refused(400, "badCSR")  # section 11.1: not the account's key
    other = Client(client.server)
    other.register().ok(201)
    order.finalize(csr_der(NAMES, other.key.private)).refused(400, "badCSR")  # nor any other's
    for weak in (rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP521R1())):
        order.finalize(csr_der(NAMES, weak)).refused(400, "badCSR")  # section 6.7: badPublicKey is for JWS
    for der in (other_signature(csr_der(NAMES)), b"", b"0", b"\x30\x80", csr_der(NAMES)[:-1], csr_der(NAMES) + b"\0"):
        reply = order.finalize(der)
        assert reply.status == 400 and reply.problem()["type"].rpartition(":")[2] in ("badCSR", "malformed"), reply
    for payload in (b"", b"{}", b'{"csr":7}', b'{"csr":"not base64!"}', csr(NAMES).public_bytes(serialization.Encoding.PEM)):
        client.post(order.finalize_url, payload).refused(400, "malformed")
    assert order.read()["status"] == "ready"  # section 7.4: a new CSR may be sent
    assert "version" in order.finalize(serving.csr_of_version(2, NAMES)).refused(400, "badCSR")["detail"]
    order.finalize(csr_der([name.upper() for name in reversed(NAMES)])).ok()
    assert order.poll("valid")


def test_the_names_may_come_in_the_common_name(client, healthy):
    order = client.order(NAMES[0])
    order.prove_all(healthy)
    builder = x509.CertificateSigningRequestBuilder()
    subject = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, NAMES[0])])
    request = builder.subject_name(subject).sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    order.finalize(request.public_bytes(serialization.Encoding.DER)).ok()
    assert order.poll("valid")


def test_bodies_up_to_the_limit(client):
    client.send(client.kid, b" " * (300 * 1024)).refused(413, "malformed")
    client.post(client.kid).ok()
