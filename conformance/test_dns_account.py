"""dns-account-01 (draft-ietf-acme-dns-account-label-03) on the network: our CA looks for the record with a DNS server that is dnspython's, and
the label is computed here from the draft."""

import base64
import hashlib
import subprocess

import network
import pytest
import serving
from serving import ACMEDRILL, Client, b64



def label(account):
    return "_" + base64.b32encode(hashlib.sha256(account.encode()).digest()[:10]).decode().lower()


def test_the_label_of_the_draft():
    assert label("https://example.com/acme/acct/ExampleAccount") == "_ujmmovf2vn55tgye"


@pytest.fixture(scope="module")
def net():
    with network.network_running() as net:
        yield net


@pytest.fixture(scope="module")
def server(net, tmp_path_factory):
    folder = tmp_path_factory.mktemp("serve")
    profile = serving.profile_file(folder, challenges=["dns-account-01", "http-01"], retry="none")
    with serving.serving(folder, "--profile", profile, "--dns-server", net.dns_server) as server:
        yield server


@pytest.fixture
def client(server):
    client = Client(server)
    client.register().ok(201)
    yield client
    client.close()


def proof(client, challenge):
    return b64(hashlib.sha256(f"{challenge['token']}.{serving.thumbprint(client.key)}".encode()).digest())


def place(client, name):
    return f"{label(client.kid)}._acme-challenge.{name}"


def test_a_certificate_for_a_wildcard(client, net):
    order = client.order("*.one.test")
    [challenge] = order.authz()["challenges"]
    assert challenge["type"] == "dns-account-01"
    net.zone[place(client, "one.test"), "TXT"] = ["something else", proof(client, challenge)]
    client.post(challenge["url"], {}).ok()
    order.poll("ready")
    order.finalize(serving.csr_der(["*.one.test"])).ok()
    assert len(order.download()) >= 2
    assert (place(client, "one.test"), "TXT", "udp") in net.asked
    assert not any(name == "_acme-challenge.one.test" for name, *_ in net.asked)


@pytest.mark.parametrize("where", ["_acme-challenge.{name}", "{other}._acme-challenge.{name}"], ids=["as-dns-01", "another-account"])
def test_a_record_elsewhere_is_none(where, client, net, server):
    name = f"n{len(net.asked)}.elsewhere.test"
    other = Client(server)
    other.register().ok(201)
    order = client.order(name)
    challenge = order.challenge(kind="dns-account-01")
    net.zone[where.format(name=name, other=label(other.kid)), "TXT"] = [proof(client, challenge)]
    client.post(challenge["url"], {}).ok()
    seen = serving.poll(client, challenge["url"])
    assert seen["status"] == "invalid"
    assert place(client, name) in seen["error"]["detail"]
    other.close()


def test_two_accounts_at_once(server, net):
    """What the type is for: neither steps on the other's record."""
    pairs = []
    for client in (Client(server), Client(server)):
        client.register().ok(201)
        order = client.order("shared.test")
        challenge = order.challenge(kind="dns-account-01")
        net.zone[place(client, "shared.test"), "TXT"] = [proof(client, challenge)]
        pairs.append((client, order, challenge))
    for client, order, challenge in pairs:
        client.post(challenge["url"], {}).ok()
    for client, order, _ in pairs:
        order.poll("ready")
        client.close()


def test_through_an_alias(client, net):
    """The record may live in a zone of its own, as for dns-01."""
    order = client.order("aliased.test")
    challenge = order.challenge(kind="dns-account-01")
    net.zone[place(client, "aliased.test"), "TXT"] = ("alias", "records.elsewhere.test.")
    net.zone["records.elsewhere.test", "TXT"] = [proof(client, challenge)]
    client.post(challenge["url"], {}).ok()
    order.poll("ready")


def test_pebble_offers_it(tmp_path):
    with serving.serving(tmp_path, "--profile", "pebble", "--always-valid") as server:
        client = Client(server)
        client.register().ok(201)
        assert [c["type"] for c in client.order("*.one.test").authz()["challenges"]] == ["dns-01", "dns-account-01"]
        client.close()


def test_it_is_a_word_of_scenarios():
    shown = subprocess.run([ACMEDRILL, "show", "dns-account-01/nxdomain#then-ok"], capture_output=True, text=True, check=True).stdout
    assert "challenges dns-account-01" in shown and "dns-account-01 answers nxdomain, then ok" in shown
    events = subprocess.run([ACMEDRILL, "list", "events"], capture_output=True, text=True, check=True).stdout
    assert "ca validates dns-account-01" in events and "dns-account-01 becomes valid" in events
