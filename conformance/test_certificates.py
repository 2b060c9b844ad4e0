"""What becomes of certificates: revocation, their status, alternate chains, addresses, renewal information and profiles, over
HTTPS, by clients that share no code with the program."""

import pytest
import serving
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from serving import GONE, Client, EcKey, b64, csr_der, p256

DER = serialization.Encoding.DER
NAMES = ["a.example.test", "*.b.example.test"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving.serving(tmp_path_factory.mktemp("serve"), "--always-valid") as server:
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
    """Another one."""
    client = Client(server)
    client.register().ok(201)
    yield client
    client.close()


def prove_all(order):
    """The server validates nothing: any challenge will do."""
    for i in range(len(order.authz_urls)):
        authz = order.authz(i)
        if authz["status"] == "pending":
            order.client.post(authz["challenges"][0]["url"], {}).ok()
    order.poll("ready")
    return order


def obtain(client, names=NAMES, key=None):
    """The leaf, the chain above it, and its key."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    order = prove_all(client.order(*names))
    order.finalize(csr_der(names, key)).ok()
    leaf, *above = order.download()
    return leaf, above, key


# --- revocation: RFC 8555 section 7.6 ---


def revocation(leaf, **members):
    return {"certificate": b64(leaf.public_bytes(DER)), **members}


def revoke(client, leaf, **members):
    return client.post(client.directory["revokeCert"], revocation(leaf, **members))


def revoke_with_key(client, leaf, key, **members):
    """Signed by that key, which the request carries."""
    key = EcKey(key)
    return client.post(client.directory["revokeCert"], revocation(leaf, **members), sign=key.sign, kid=GONE, jwk=key.jwk())


def is_revoked(reply):
    assert reply.ok().body == b"", reply
    return True


@pytest.mark.parametrize("reason", [None, 0, 1, 3, 4, 5, 9, 10])
def test_the_owner_revokes(client, reason):
    leaf, _, _ = obtain(client)
    assert is_revoked(revoke(client, leaf, **({} if reason is None else {"reason": reason})))
    revoke(client, leaf).refused(400, "alreadyRevoked")


def test_the_certificates_key_revokes(client, server):
    leaf, _, key = obtain(client)
    revoke_with_key(client, leaf, p256().private).refused(403, "unauthorized")
    revoke_with_key(client, leaf, client.key.private).refused(403, "unauthorized")
    without_account = Client(server)
    assert is_revoked(revoke_with_key(without_account, leaf, key, reason=1))
    revoke_with_key(without_account, leaf, key).refused(400, "alreadyRevoked")
    without_account.close()


def test_a_key_that_did_not_sign(client):
    leaf, _, key = obtain(client)
    key = EcKey(key)
    body = revocation(leaf)
    client.post(client.directory["revokeCert"], body, sign=p256().sign, kid=GONE, jwk=key.jwk()).refused(400, "malformed")
    assert is_revoked(revoke(client, leaf))


def test_another_account_that_controls_all_names(client, stranger):
    leaf, _, _ = obtain(client)
    revoke(stranger, leaf).refused(403, "unauthorized")
    prove_all(stranger.order(NAMES[0]))
    revoke(stranger, leaf).refused(403, "unauthorized")
    prove_all(stranger.order("b.example.test"))  # which is not *.b.example.test
    revoke(stranger, leaf).refused(403, "unauthorized")
    prove_all(stranger.order(NAMES[1]))
    assert is_revoked(revoke(stranger, leaf))


@pytest.mark.parametrize("reason", [2, 6, 7, 8, 11, 1000000])
def test_bad_reasons(client, reason):
    leaf, _, _ = obtain(client)
    revoke(client, leaf, reason=reason).refused(400, "badRevocationReason")
    assert is_revoked(revoke(client, leaf))


@pytest.mark.parametrize(
    "payload",
    [b"", b"{}", b"[]", {"certificate": 1}, {"certificate": ""}, {"certificate": "a=="}, {"certificate": b64(b"x"), "reason": "0"}],
)
def test_malformed_revocations(client, payload):
    client.post(client.directory["revokeCert"], payload).refused(400, "malformed")


def test_certificates_of_others(client, server):
    leaf, above, _ = obtain(client)
    revoke(client, above[0]).refused(404, "malformed")
    der = bytearray(leaf.public_bytes(DER))
    der[-1] ^= 1  # the signature: same serial, another certificate
    client.post(client.directory["revokeCert"], {"certificate": b64(bytes(der))}).refused(404, "malformed")
    client.post(client.directory["revokeCert"], {"certificate": b64(b"no certificate")}).refused(404, "malformed")


def test_reasons_are_the_profiles(tmp_path):
    with serving.serving(tmp_path, "--profile", "boulder", "--speed", "100", "--always-valid") as server:
        client = Client(server)
        client.register().ok(201)
        leaf, _, _ = obtain(client)
        assert "0, 1, 4, 5" in revoke(client, leaf, reason=3).refused(400, "badRevocationReason")["detail"]
        assert is_revoked(revoke(client, leaf, reason=5))
        client.close()


def test_revocation_needs_a_post(client):
    client.request("GET", client.directory["revokeCert"]).refused(405, "malformed")
