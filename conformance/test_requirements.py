"""What RFC 8555 and its companions ask of a server and no other test shows, met by clients, validation targets and a DNS server that share no
code with the program (serving.py, network.py). server_requirements.json says which requirement is whose."""

import contextlib
import datetime
import hashlib
import ipaddress
import itertools
import json
import socket
import ssl
import subprocess
import threading
import time
import urllib.request

import network
import pytest
import serving
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from serving import ACMEDRILL, GONE, PATIENCE_S, URN, Client, RsaKey, b64, csr_der, p256

NAME = "a.example.test"
# RFC 8555 section 9.7.4 and those that registered types later: RFC 8739, RFC 9773, draft-ietf-acme-profiles.
REGISTERED = set(
    "accountDoesNotExist alreadyRevoked badCSR badNonce badPublicKey badRevocationReason badSignatureAlgorithm caa compound connection dns "
    "externalAccountRequired incorrectResponse invalidContact malformed orderNotReady rateLimited rejectedIdentifier serverInternal tls "
    "unauthorized unsupportedContact unsupportedIdentifier userActionRequired autoRenewalCanceled autoRenewalExpired "
    "autoRenewalCancellationInvalid autoRenewalRevocationNotSupported alreadyReplaced invalidProfile".split()
)
NEVER_RETRIED = {"retry": "none"}
pytestmark = pytest.mark.filterwarnings("ignore:ssl.TLSVersion")  # the old ones are what some tests are about


@pytest.fixture(scope="module")
def net():
    with network.network_running() as net:
        yield net


@contextlib.contextmanager
def a_ca(folder, net, *options, **profile):
    """A CA that looks at our network; its profile differs from the RFC's by these members."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "drilled.json").write_text(json.dumps({"title": "a CA for one test", **profile}))
    where = ["--profile", folder / "drilled.json", "--dns-server", net.dns_server, "--tls-port", net.tls_port]
    with serving.serving(folder, *where, *options, http_port=net.http_port) as server:
        yield server


@pytest.fixture(scope="module")
def server(net, tmp_path_factory):
    """One that asks once, takes addresses, and takes its time to issue."""
    folder = tmp_path_factory.mktemp("drilled")
    with a_ca(folder, net, ip_identifiers=True, issue_delay="1s", pre_authorization=True, **NEVER_RETRIED) as server:
        yield server


@pytest.fixture(scope="module")
def public(net, tmp_path_factory):
    """One that believes everything, and has a port for relying parties."""
    with a_ca(tmp_path_factory.mktemp("public"), net, "--always-valid", "--status-port", 0) as server:
        yield server


def registered(server, key=None):
    client = Client(server, key)
    client.register().ok(201)
    return client


@pytest.fixture
def client(server):
    client = registered(server)
    yield client
    client.close()


fresh = (f"n{i}.example.test" for i in itertools.count())


@pytest.fixture
def name():
    """Which no other test uses."""
    return next(fresh)


def order_of(client, *identifiers, **members):
    reply = client.post(client.directory["newOrder"], {"identifiers": list(identifiers), **members}).ok(201)
    return serving.Order(client, reply.headers["Location"], reply.json())


def ip(value):
    return {"type": "ip", "value": value}


def dns(value):
    return {"type": "dns", "value": value}


def key_authorization(client, challenge):
    return f"{challenge['token']}.{serving.thumbprint(client.key)}"


def answer(net, order, kind="http-01", i=0):
    """The response, the proof of http-01 being in place; returns the challenge, before."""
    challenge = order.challenge(i, kind)
    net.proofs[challenge["token"]] = key_authorization(order.client, challenge)
    order.client.post(challenge["url"], {}).ok()
    return challenge


def proved(net, client, name):
    order = client.order(name)
    answer(net, order)
    order.poll("ready")
    return order


def issued(net, client, name):
    order = proved(net, client, name)
    order.finalize(csr_der([name])).ok()
    order.poll("valid")
    return order


def ended(client, challenge):
    """The challenge once it is decided."""
    return serving.poll(client, challenge["url"])


# --- RFC 8555 sections 5 and 6: texts, media types, nonces, problems ---


def says_bytes(net, name, text):
    net.pages[name] = lambda connection, *_: connection.sendall(text)


NOT_UTF_8 = b"\xff\xfe caf\xe9 \xed\xa0\x80 \xc0\xaf \xf0\x9f"
HOSTILE = {
    "http-01 body": lambda net, name: says_bytes(net, name, network.response(200, NOT_UTF_8)),
    "http-01 long body": lambda net, name: says_bytes(net, name, network.response(200, b"\xe2\x82\xac" * 400)),
    "http-01 redirect": lambda net, name: says_bytes(
        net, name, b"HTTP/1.1 302 x\r\nContent-Length: 0\r\nLocation: http://" + NOT_UTF_8.replace(b" ", b"") + b"/\r\n\r\n"
    ),
    "dns-01 record": lambda net, name: net.zone.update({(f"_acme-challenge.{name}", "TXT"): ['"\\255\\254 caf\\233 \\237\\160\\128"']}),
    "tls-alpn-01 name": lambda net, name: net.handshakes.update(
        {name: lambda connection: network.shake(connection, network.certificate([x509.OtherName(x509.ObjectIdentifier("1.2.3"), b"\x0c\2\xff\xfe")], None))}
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_texts_are_utf_8(what, net, client, name):
    """Section 5, of what a target said that is not: it is in the error that a client is told of."""
    HOSTILE[what](net, name)
    order = client.order(name)
    challenge = order.challenge(kind=what.partition(" ")[0])
    client.post(challenge["url"], {}).ok()
    assert ended(client, challenge)["status"] == "invalid"
    for url in (challenge["url"], order.authz_urls[0], order.url):
        text = client.post(url).ok().body.decode("utf-8", "strict")
        assert "error" in text and json.loads(text)


def test_texts_of_requests_come_back_as_utf_8(client):
    for value in ("b\u00fccher.example.test", "\U0001f512.test", "\u202e.test", "\x00\x1f", "\ud800"):
        reply = client.post(client.directory["newOrder"], {"identifiers": [dns(value)]})
        assert reply.status == 400 and json.loads(reply.body.decode("utf-8", "strict")), reply
        reply = client.post(client.kid, {"contact": [f"mailto:{value}@example.test"]})
        assert json.loads(reply.body.decode("utf-8", "strict")), reply
    with client.server.connect_tls() as connection:
        connection.sendall(b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        text = b"".join(iter(lambda: connection.recv(65536), b""))
    assert text.startswith(b"HTTP/1.1 4") and text.decode("utf-8", "strict")


def test_media_types(net, client, name):
    """What is JSON says so, a problem says that it is one, and both are."""
    order = issued(net, client, name)
    document = order.read()
    leaf = serving.certificates(client.post(document["certificate"]).ok().body)[0]
    key_id = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    serial = leaf.serial_number.to_bytes(leaf.serial_number.bit_length() // 8 + 1, "big")
    renewal = f"{client.directory['renewalInfo']}/{b64(key_id)}.{b64(serial)}"
    objects = [client.request("GET", url).ok() for url in (client.server.directory_url, renewal)]
    resources = [client.kid, f"{client.kid}/orders", order.url, order.authz_urls[0], order.challenge()["url"]]
    objects += [client.post(url).ok() for url in resources]
    stranger = Client(client.server)
    objects += [stranger.register(), stranger.register(), stranger.post(stranger.kid, {"contact": []})]
    for url in ("newOrder", "newAuthz"):
        body = {"identifiers": [dns("more.example.test")], "identifier": dns("more.example.test")}
        objects.append(stranger.post(client.directory[url], body).ok(201))
    for reply in objects:
        assert reply.headers["Content-Type"] == "application/json" and isinstance(json.loads(reply.body), dict), reply
    problems = [client.request("GET", url) for url in [client.server.base + "/nothing", *resources]]
    problems += [client.post(url, b"x") for url in resources] + [order.finalize(b"")]
    for reply in problems:
        assert reply.status >= 400 and reply.headers["Content-Type"] == "application/problem+json", reply
        assert isinstance(json.loads(reply.body), dict)
    stranger.close()


def test_nonces_are_good_for_any_account_and_resource(client, name):
    """Section 6.5: fetched by one, spent by another, elsewhere, on another connection, and after many others."""
    stranger = Client(client.server)
    nonces = [stranger.nonce() for _ in range(500)]
    stranger.close()
    other = registered(client.server)
    for i, nonce in enumerate(nonces):
        who = (client, other)[i % 2]
        url, payload = ((who.kid, None), (who.directory["newOrder"], {"identifiers": [dns(name)]}))[i // 2 % 2]
        assert who.post(url, payload, nonce=nonce).status in (200, 201), i
    other.close()


def test_nonces_cannot_be_guessed(net, tmp_path):
    """Section 6.5.1: no two are alike, of one CA or of two, and nothing that is like a good one is a good one."""
    found = []
    for folder in ("first", "second"):
        with a_ca(tmp_path / folder, net) as server:
            client = registered(server)
            nonces = [client.request("HEAD", client.directory["newNonce"]).ok().headers["Replay-Nonce"] for _ in range(300)]
            found += nonces
            octets = serving.unb64(nonces[-1])
            for bit in range(8 * len(octets)):
                guess = int.from_bytes(octets, "big") ^ 1 << bit
                client.post(client.kid, nonce=b64(guess.to_bytes(len(octets), "big"))).refused(400, "badNonce")
            client.post(client.kid, nonce=nonces[-1]).ok()
            client.close()
    assert len(set(found)) == len(found) and min(len(serving.unb64(nonce)) for nonce in found) >= 16
    for at in range(len(octets) - 8, len(octets)):  # the half that no arithmetic on the last one gives
        assert len({serving.unb64(nonce)[at] for nonce in found}) > 200


def problems_in(document):
    """All problem documents of a reply, the outermost first."""
    if isinstance(document, list):
        return sum(map(problems_in, document), [])
    if not isinstance(document, dict):
        return []
    here = [document] if "detail" in document else []
    return here + sum(map(problems_in, document.values()), [])


@pytest.fixture(scope="module")
def refusals(net, server):
    """Replies with problem documents of all sorts: of requests, of challenges, authorizations and orders that failed."""
    client, stranger, name = registered(server), Client(server), next(fresh)
    order = client.order(name)
    post, directory = client.post, client.directory
    new_order, new_account = directory["newOrder"], directory["newAccount"]
    found = [
        client.request("GET", server.base + "/nothing"),
        client.request("GET", order.url),
        post(client.kid, content_type="text/plain"),
        post(client.kid, nonce="AAAA"),
        post(client.kid, alg="none"),
        post(client.kid, sign=p256().sign),
        post(client.kid, url=order.url),
        post(client.kid, kid=server.base + "/account/4242"),
        post(client.kid, {"contact": ["tel:1"]}),
        post(client.kid, {"contact": ["mailto:x"]}),
        stranger.post(new_account, {}),
        stranger.post(new_account, {"onlyReturnExisting": True}),
        stranger.post(new_account, {"termsOfServiceAgreed": True}, jwk={**stranger.key.jwk(), "y": "AAAA"}),
        post(new_order, {"identifiers": [dns("no-dot")]}),
        post(new_order, {"identifiers": [dns("no-dot"), dns("127.0.0.1"), dns(NAME)]}),
        post(new_order, {"identifiers": [{"type": "email", "value": "a@b.test"}]}),
        post(new_order, {"identifiers": [dns("no-dot"), {"type": "email", "value": "a@b.test"}]}),
        post(directory["newAuthz"], {"identifier": dns("no-dot")}),
        post(directory["newAuthz"], {"identifier": dns("*.example.test")}),
        post(new_order, {"identifiers": [dns(NAME)], "replaces": "AAAA.AAAA"}),
        order.finalize(csr_der([name])),
        post(directory["revokeCert"], {"certificate": "AAAA"}),
        post(directory["keyChange"], {}),
    ]
    assert all(reply.status >= 400 for reply in found), found
    for act, kind in ((network.response(404), "http-01"), (None, "dns-01"), (None, "tls-alpn-01")):
        order = client.order(next(fresh))
        if act:
            says_bytes(net, order.document["identifiers"][0]["value"], act)
        challenge = order.challenge(kind=kind)
        client.post(challenge["url"], {}).ok()
        ended(client, challenge)
        found += [post(url).ok() for url in (challenge["url"], order.authz_urls[0], order.url)]
    client.close()
    stranger.close()
    return found


def test_types_of_problems(refusals):
    """Section 6.7: the whole URN, and no word that is not registered; in subproblems and errors of objects too."""
    seen = set()
    for reply in refusals:
        problems = problems_in(json.loads(reply.body))
        assert problems, reply
        for problem in problems:
            assert problem["type"].startswith(URN) and problem["type"].removeprefix(URN) in REGISTERED, problem
            seen.add(problem["type"].removeprefix(URN))
    assert len(seen) >= 12, seen


def test_identifiers_are_for_subproblems(refusals):
    """Section 6.7.1: none at the top."""
    inner = []
    for reply in refusals:
        document = json.loads(reply.body)
        top = [document] if reply.status >= 400 else [one["error"] for one in [document, *document.get("challenges", [])] if "error" in one]
        assert top, reply
        for problem in top:
            assert "identifier" not in problem, problem
            inner += [sub["identifier"] for sub in problem.get("subproblems", []) if "identifier" in sub]
    assert dns("no-dot") in inner and len(inner) > 4 and all(set(one) == {"type", "value"} for one in inner)


# --- section 7: what an object shows, and what becomes of it ---


def test_names_and_authorizations_of_an_order_stay(net, client):
    """Section 7.1.3, from the first reply to the last, whether it ends well or not."""
    for ends in ("valid", "invalid"):
        names = [next(fresh), next(fresh)]
        order = client.order(*names)
        first, statuses = order.document, []

        def look():
            document = order.read()
            for member in ("identifiers", "authorizations", "finalize"):
                assert document[member] == first[member]
            statuses.append(document["status"])

        look()
        answer(net, order, i=0)
        serving.poll(client, order.authz_urls[0])
        look()
        if ends == "invalid":
            client.post(order.authz_urls[1], {"status": "deactivated"}).ok()
        else:
            answer(net, order, i=1)
            order.poll("ready")
            look()
            order.finalize(csr_der(names)).ok()
            look()
            order.poll("valid")
        look()
        client.order(*names)  # another one with the same names
        look()
        if ends == "valid":
            assert statuses == ["pending", "pending", "ready", "processing", "valid", "valid"]
        else:
            assert statuses == ["pending", "pending", "invalid", "invalid"]


def test_orders_that_share_an_authorization(net, tmp_path, name):
    """Section 7.1.6: what becomes of it becomes of both."""
    with a_ca(tmp_path, net, reuses_authz=True) as server:
        client = registered(server)
        first = proved(net, client, name)
        second = client.order(name)
        assert second.authz_urls == first.authz_urls and second.document["status"] == "ready"
        alone = proved(net, client, next(fresh))
        client.post(first.authz_urls[0], {"status": "deactivated"}).ok()
        assert [order.read()["status"] for order in (first, second, alone)] == ["invalid", "invalid", "ready"]
        client.close()


def test_a_valid_authorization_ends(net, client):
    """Sections 7.1.4 and 7.5.1: it says when, whether it was asked for by an order or ahead of one."""
    name, ahead = next(fresh), next(fresh)
    order = proved(net, client, name)
    url = client.post(client.directory["newAuthz"], {"identifier": dns(ahead)}).ok(201).headers["Location"]
    challenge = next(c for c in client.post(url).ok().json()["challenges"] if c["type"] == "http-01")
    net.proofs[challenge["token"]] = key_authorization(client, challenge)
    client.post(challenge["url"], {}).ok()
    for authz in (order.authz(), serving.poll(client, url)):
        assert authz["status"] == "valid"
        left = datetime.datetime.strptime(authz["expires"], "%Y-%m-%dT%H:%M:%SZ") - datetime.datetime.utcnow()
        assert datetime.timedelta(days=6) < left <= datetime.timedelta(days=7)


def test_all_that_the_directory_names_is_there(client):
    """Section 7.1.1: to none of its requests is the answer that there is no such thing, or no such method."""
    urls = {name: url for name, url in client.directory.items() if name not in ("meta", "newNonce", "renewalInfo")}
    assert {"newAccount", "newOrder", "newAuthz", "revokeCert", "keyChange"} == set(urls)
    for name, url in urls.items():
        client.post(url, {"onlyReturnExisting": 7}, **({"kid": GONE, "jwk": client.key.jwk()} if name == "newAccount" else {})).refused(
            400, "malformed"
        )
    client.request("GET", client.directory["renewalInfo"] + "/AAAA.AAAA").refused(404, "malformed")
    client.request("HEAD", client.directory["newNonce"]).ok()


def test_identities_of_caa(net, tmp_path):
    """Section 7.1.1: each string of caaIdentities is a name that a CAA record may have, and no other is."""
    identities = ["ca.example.test", "other.ca.example.test"]
    with a_ca(tmp_path, net, caa="checked", caa_identities=identities, **NEVER_RETRIED) as server:
        client = registered(server)
        assert client.directory["meta"]["caaIdentities"] == identities
        for issuer in [*identities, "example.test", "x.ca.example.test", "ca.example.test.test"]:
            name = next(fresh)
            net.zone[name, "CAA"] = [f'0 issue "{issuer}"']
            seen = ended(client, answer(net, client.order(name)))
            assert seen["status"] == ("valid" if issuer in identities else "invalid"), issuer
            assert seen.get("error", {}).get("type", URN + "caa") == URN + "caa"
        client.close()


def test_members_that_nobody_knows_in_an_account(server):
    """Sections 7.3 and 7.3.1: they are ignored, of an account that is there all are."""
    client = Client(server)
    lies = {"orders": "https://x.test/", "status": "revoked", "more": {"contact": []}, "onlyReturnExisting": False, "id": 1}
    account = client.register(contact=["mailto:a@example.test"], **lies).ok(201).json()
    assert account["status"] == "valid" and account["orders"].startswith(server.base)
    assert set(account) == {"status", "contact", "termsOfServiceAgreed", "orders"}
    again = client.register(contact=["mailto:b@example.test"], termsOfServiceAgreed=False, **lies).ok(200)
    assert again.json() == client.post(client.kid).ok().json() == account
    client.close()


def test_a_labels(net, client):
    """Section 7.1.4: names are those that a certificate would carry."""
    name = "xn--bcher-kva.example.test"
    order = client.order("XN--Bcher-KVA.Example.TEST")
    assert order.document["identifiers"] == [dns(name)] and order.authz()["identifier"] == dns(name)
    answer(net, order)
    order.poll("ready")
    assert (name, "A", "udp") in net.asked and any(host == name for host, *_ in net.fetched)
    order.finalize(csr_der([name])).ok()
    names = order.download()[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [name]
    client.post(client.directory["newOrder"], {"identifiers": [dns("b\u00fccher.example.test")]}).refused(400, "malformed")


@pytest.mark.parametrize("make", [p256, lambda: RsaKey(2048)], ids=["P-256", "RSA"])
def test_a_key_is_a_key_however_it_is_written(make, net, server, name):
    """Sections 7.3.1 and 8.1: other members, and another order of them, are the same account and the same thumbprint."""
    client = Client(server, make())
    jwk = client.key.jwk()
    more = {"use": "sig", "kid": "mine", "alg": client.key.alg, "key_ops": ["verify"], "x5t": "AAAA", "note": {"a": [1]}}
    others = [dict(reversed(jwk.items())), {**more, **jwk}, {**jwk, **more}, jwk]
    new_account, body = client.directory["newAccount"], {"termsOfServiceAgreed": True}
    client.kid = client.post(new_account, body, jwk=others[1]).ok(201).headers["Location"]
    for other in others:
        assert client.post(new_account, body, kid=GONE, jwk=other).ok(200).headers["Location"] == client.kid
    order = proved(net, client, name)
    assert order.read()["status"] == "ready"
    # The old key of a change of key is one, too.
    new = p256()
    signer = Client(server, new)
    inner = signer.sign(client.directory["keyChange"], {"account": client.kid, "oldKey": others[2]}, nonce=GONE)
    client.post(client.directory["keyChange"], inner).ok()
    client.key = new
    assert order.read()["status"] == "ready"
    client.close()
    signer.close()


MAC_KEY = b64(bytes(32))


@pytest.mark.parametrize(
    "kid,mac_key,said",
    [
        *[(kid, MAC_KEY, "of ASCII") for kid in ("caf\u00e9", "k\n", "\x7f", "")],
        *[("kid-1", mac_key, "a MAC key is") for mac_key in (MAC_KEY + "=", "+" + MAC_KEY[1:], "AAAA", "", bytes(32).hex() + "x")],
        ("kid-1", MAC_KEY, None),
    ],
)
def test_external_accounts_that_none_can_use(kid, mac_key, said, tmp_path):
    """Section 7.3.4, of what the CA gives out: it stands in a profile, which is refused."""
    path = tmp_path / "drilled.json"
    path.write_text(json.dumps({"title": "x", "external_accounts": {kid: mac_key}}))
    if said is None:
        with serving.serving(tmp_path, "--profile", path):
            return
    command = [ACMEDRILL, "serve", "--port", "0", "--profile", path, "--trust", tmp_path / "trust.pem"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert run.returncode == 3 and said in run.stderr and run.stdout == "", run


def test_nobody_else_deactivates_an_account(client, server):
    """Section 7.3.6: the account's own key signs it."""
    other, gone = registered(server), {"status": "deactivated"}
    other.post(client.kid, gone).refused(403, "unauthorized")
    client.post(client.kid, gone, sign=other.key.sign).refused(400, "malformed")
    client.post(client.kid, gone, payload_sent=b'{"status": "deactivated"}', sign=lambda _: client.key.sign(b"x")).refused(400, "malformed")
    client.post(client.kid, gone, kid=GONE, jwk=client.key.jwk()).refused(400, "malformed")
    other.post(client.kid, gone, kid=GONE, jwk=other.key.jwk()).refused(400, "malformed")
    assert client.post(client.kid).ok().json()["status"] == "valid"
    client.order(NAME)
    assert client.post(client.kid, gone).ok().json()["status"] == "deactivated"
    client.post(client.kid).refused(401, "unauthorized")
    assert other.post(other.kid).ok().json()["status"] == "valid"
    other.close()


def ocsp_status(public, leaf, issuer):
    der = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, hashes.SHA1()).build().public_bytes(serialization.Encoding.DER)
    request = urllib.request.Request(f"{public.status_url}/ocsp", der, {"Content-Type": "application/ocsp-request"})
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as reply:
        return ocsp.load_der_ocsp_response(reply.read()).certificate_status


def crl(public):
    with urllib.request.urlopen(f"{public.status_url}/crl", timeout=PATIENCE_S) as reply:
        return x509.load_der_x509_crl(reply.read())


def revocation(leaf):
    return {"certificate": b64(leaf.public_bytes(serialization.Encoding.DER))}


def test_certificates_outlive_their_account(net, public, name):
    """Section 7.3.6: to deactivate the account revokes none of them."""
    client = registered(public)
    leaves = []
    for _ in range(2):
        leaf, issuer, *_ = issued(net, client, name).download()
        leaves.append(leaf)
    client.post(client.directory["revokeCert"], revocation(leaves[1])).ok()
    client.post(client.kid, {"status": "deactivated"}).ok()
    assert ocsp_status(public, leaves[0], issuer) == ocsp.OCSPCertStatus.GOOD
    assert ocsp_status(public, leaves[1], issuer) == ocsp.OCSPCertStatus.REVOKED
    revoked = [crl(public).get_revoked_certificate_by_serial_number(leaf.serial_number) for leaf in leaves]
    assert revoked[0] is None
    with pytest.raises(x509.ExtensionNotFound):  # section 7.6: nobody gave a reason
        revoked[1].extensions.get_extension_for_class(x509.CRLReason)
    client.close()


def test_finalize_while_it_is_processing(net, client, name):
    """Section 7.4: 403, and the certificate is still that of the first request."""
    order, key = proved(net, client, name), p256()
    assert order.finalize(csr_der([name], key.private)).ok().json()["status"] == "processing"
    reply = order.finalize(csr_der([name]))
    assert order.read()["status"] == "processing", "this machine is too slow for this test"
    assert "processing" in reply.refused(403, "orderNotReady")["detail"]
    leaf = order.download()[0]
    assert leaf.public_key().public_numbers() == key.private.public_key().public_numbers()


def test_members_that_nobody_knows_in_an_order(client, name):
    """Section 7.4: ignored, and not shown."""
    lies = {"status": "valid", "certificate": "https://x.test/", "expires": "2000-01-01T00:00:00Z", "finalize": "x", "authorizations": []}
    lies |= {"error": {"type": "x"}, "more": 1, "star-certificate": "x", "auto-renewal": {}, "subdomainAuthAllowed": True}
    order = order_of(client, {**dns(name), "ancestorDomain": "example.test", "more": 1}, **lies)
    plain = client.order(name)
    for document in (order.document, order.read()):
        assert set(document) == set(plain.document) == {"status", "expires", "identifiers", "authorizations", "finalize"}
        assert document["identifiers"] == [dns(name)] and document["status"] == "pending"
        assert document["finalize"].startswith(client.server.base) and len(document["authorizations"]) == 1
        assert document["expires"][:4] == plain.document["expires"][:4]


def test_a_certificate_stays_what_it_is(net, public, name):
    """Section 7.4.2: the same octets, whatever happens beside it and to it."""
    client = registered(public)
    order = issued(net, client, name)
    url = order.read()["certificate"]
    first = client.post(url).ok().body
    assert client.post(url).ok().body == first
    issued(net, client, name)  # another one for the same name
    assert client.post(url).ok().body == first and order.read()["certificate"] == url
    client.post(client.directory["revokeCert"], revocation(serving.certificates(first)[0])).ok()
    assert client.post(url).ok().body == first and order.read()["certificate"] == url
    client.close()


def test_the_account_url_stays(client):
    """draft-ietf-acme-dns-account-label-03 section 3.5: for as long as there is the account, for a label is made of it."""
    url = client.kid
    for _ in range(2):
        new = p256()
        signer = Client(client.server, new)
        inner = signer.sign(client.directory["keyChange"], {"account": url, "oldKey": client.key.jwk()}, nonce=GONE)
        client.post(client.directory["keyChange"], inner).ok()
        client.key = new
        client.post(url, {"contact": ["mailto:a@example.test"]}).ok()
        registered(client.server).close()
        client.order(NAME)
        assert client.register().ok(200).headers["Location"] == url
        signer.close()


# --- section 8: challenges ---


def test_states_of_a_challenge(net, tmp_path):
    """Section 8: one of four, each of which is seen here."""
    with a_ca(tmp_path, net, "--speed", 10, retry="10s x2") as server:
        client, statuses = registered(server), []
        for body in (None, b"something else"):
            name = next(fresh)
            held = threading.Event()

            def page(connection, path, _):
                held.wait(PATIENCE_S)
                net.give_proof(connection, path) if body is None else connection.sendall(network.response(200, body))

            net.pages[name] = page
            order = client.order(name)
            challenge = order.challenge()
            statuses.append(challenge["status"])
            answer(net, order)
            for _ in range(5):
                statuses.append(client.post(challenge["url"]).ok().json()["status"])
            held.set()
            serving.until(lambda: statuses.append(order.challenge()["status"]) or statuses[-1] in ("valid", "invalid"), "the end")
        client.close()
    assert [status for status, _ in itertools.groupby(statuses)] == ["pending", "processing", "valid", "pending", "processing", "invalid"]


def test_a_retry_needs_a_nonce_of_its_own(net, tmp_path, name):
    """Section 8.2: the response sent again, octet by octet, is refused and asks for nothing."""
    with a_ca(tmp_path, net, retry="1h x2", client_retry_every="none") as server:
        client = registered(server)
        says_bytes(net, name, network.response(404))
        order = client.order(name)
        url = order.challenge()["url"]

        def fetched():
            return sum(host == name for host, *_ in net.fetched)

        first = client.sign(url, {})
        client.send(url, first).ok()
        serving.until(lambda: "error" in client.post(url).ok().json(), "an error")
        for _ in range(3):
            client.send(url, first).refused(400, "badNonce")
        client.post(url, {}, nonce=GONE).refused(400, "badNonce")
        assert fetched() == 1 and len(client.post(url).ok().json()["error"]["subproblems"]) == 1
        client.post(url, {}).ok()
        serving.until(lambda: len(client.post(url).ok().json()["error"]["subproblems"]) == 2, "another error")
        assert fetched() == 2
        client.close()


def test_strings_of_a_record_are_one_text(net, client, name):
    """Section 8.4, RFC 1035 section 3.3.14."""
    order = client.order(name)
    challenge = order.challenge(kind="dns-01")
    proof = b64(hashlib.sha256(key_authorization(client, challenge).encode()).digest())
    net.zone[f"_acme-challenge.{name}", "TXT"] = [f'"{proof}" "x"', f'"" "{proof[:1]}" "{proof[1:20]}" "" "{proof[20:]}"']
    client.post(challenge["url"], {}).ok()
    assert ended(client, challenge)["status"] == "valid"
    order = client.order(name)
    challenge = order.challenge(kind="dns-01")
    proof = b64(hashlib.sha256(key_authorization(client, challenge).encode()).digest())
    net.zone[f"_acme-challenge.{name}", "TXT"] = [f'"{proof[:20]}"', f'"{proof[20:]}"', f'"{proof}" "x"']  # records are not
    client.post(challenge["url"], {}).ok()
    assert ended(client, challenge)["status"] == "invalid"


ELSEWHERE = "127.0.0.80"  # of this machine's own addresses, for the ports that take a privilege


def listener(port):
    try:
        return socket.create_server((ELSEWHERE, port))
    except PermissionError:
        pytest.skip(f"port {port} takes a privilege that this user has not")


@pytest.mark.parametrize("kind,port", [("http-01", 80), ("tls-alpn-01", 443)])
def test_ports_of_the_internet(kind, port, net, tmp_path, name):
    """Section 8.3 and RFC 8737 section 3, of a CA that is not told to look elsewhere."""
    options = ["--dns-server", net.dns_server, "--tls-port", 443]
    with listener(port) as listening, serving.serving(tmp_path, *options, http_port=80) as server:
        listening.settimeout(PATIENCE_S)
        net.zone[name, "A"] = [ELSEWHERE]
        client = registered(server)
        order = client.order(name)
        challenge = order.challenge(kind=kind)
        client.post(challenge["url"], {}).ok()
        connection, _ = listening.accept()
        with connection:
            if kind == "http-01":
                proof = key_authorization(client, challenge).encode()
                said = connection.recv(65536)
                assert said.startswith(f"GET /.well-known/acme-challenge/{challenge['token']} HTTP/1.1\r\n".encode())
                assert f"\r\nHost: {name}\r\n".encode() in said
                connection.sendall(network.response(200, proof))
            else:
                network.shake(connection, network.certificate([name], key_authorization(client, challenge)))
        assert ended(client, challenge)["status"] == "valid"
        client.close()


# --- RFC 8737 section 4: the connection of tls-alpn-01 ---


class Hello:
    """A ClientHello, read after RFC 8446 section 4.1.2."""

    def __init__(self, octets):
        at = 0

        def take(n):
            nonlocal at
            at += n
            assert at <= len(octets)
            return octets[at - n : at]

        def vector(bytes_of_length):
            return take(int.from_bytes(take(bytes_of_length), "big"))

        assert take(1) == b"\x16"
        take(4)
        assert take(1) == b"\x01"
        take(3)
        self.version = int.from_bytes(take(2), "big")
        take(32)
        vector(1), vector(2), vector(1)
        vector_end = int.from_bytes(take(2), "big") + at
        self.extensions = {}
        while at < vector_end:
            number = int.from_bytes(take(2), "big")
            self.extensions[number] = vector(2)

    def versions(self):
        listed = self.extensions.get(43, b"\x02" + self.version.to_bytes(2, "big"))[1:]
        return {int.from_bytes(listed[i : i + 2], "big") for i in range(0, len(listed), 2)}

    def protocols(self):
        listed, found = self.extensions.get(16, b"\0\0")[2:], []
        while listed:
            found.append(listed[1 : 1 + listed[0]])
            listed = listed[1 + listed[0] :]
        return found

    def name(self):
        return self.extensions[0][5:].decode() if 0 in self.extensions else None


def read_hello(connection):
    connection.recv(1, socket.MSG_PEEK)
    head = connection.recv(5, socket.MSG_PEEK | socket.MSG_WAITALL)
    return Hello(connection.recv(5 + int.from_bytes(head[3:5], "big"), socket.MSG_PEEK | socket.MSG_WAITALL))


def tls_server(pem, folder, maximum=ssl.TLSVersion.TLSv1_3):
    (folder / "server.pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["acme-tls/1"])
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, maximum
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.load_cert_chain(folder / "server.pem")
    return context


def shaken(net, client, name, act):
    """Plays a challenge whose connection is act's; returns the challenge as it ends, and what act returned."""
    order = client.order(name)
    challenge = order.challenge(kind="tls-alpn-01")
    pem = network.certificate([name], key_authorization(client, challenge))
    returned, over = [], threading.Event()

    def run(connection):
        try:
            returned.append(act(connection, pem))
        finally:
            over.set()

    net.handshakes[name] = run
    client.post(challenge["url"], {}).ok()
    seen = ended(client, challenge)
    assert over.wait(PATIENCE_S) and len(returned) == 1, returned
    return seen, returned[0]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda v: v.name)
@pytest.mark.parametrize("proves", [True, False], ids=["proof", "no-proof"])
def test_nothing_follows_the_handshake(version, proves, net, client, name, tmp_path):
    """No octet of application data, and the connection is closed at once, whether the certificate is the right one or not."""

    def act(connection, pem):
        context = tls_server(pem if proves else network.certificate([name], None), tmp_path, version)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        shaken_at, data = None, b""
        while True:
            try:
                if shaken_at is None:
                    tls.do_handshake()
                    shaken_at = time.monotonic()
                else:
                    data += tls.read(4096)
            except ssl.SSLWantReadError:
                pass
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                break
            with contextlib.suppress(OSError):
                connection.sendall(outgoing.read())
            try:
                piece = connection.recv(4096)
            except ConnectionResetError:
                break
            if not piece:
                break
            incoming.write(piece)
        return tls.version(), shaken_at and time.monotonic() - shaken_at, data

    seen, (spoken, lasted, data) = shaken(net, client, name, act)
    assert spoken == {ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}[version]
    assert seen["status"] == ("valid" if proves else "invalid")
    assert data == b"" and lasted < 3  # a server that waited would be given up after ten


def test_the_hello_of_tls_alpn_01(net, client, name, tmp_path):
    """acme-tls/1 and nothing else, TLS 1.2 and 1.3 and nothing else, and the name."""

    def act(connection, pem):
        hello = read_hello(connection)
        network.shake(connection, pem)
        return hello

    seen, hello = shaken(net, client, name, act)
    assert seen["status"] == "valid"
    assert (hello.versions(), hello.protocols(), hello.name()) == ({0x0303, 0x0304}, [b"acme-tls/1"], name)


def test_old_tls_proves_nothing(net, client, name, tmp_path):
    """A server that has the right certificate and knows TLS 1.1 only; with TLS 1.2 the same one is believed."""

    def play(maximum):
        def act(connection, pem):
            try:
                with tls_server(pem, tmp_path, maximum).wrap_socket(connection, server_side=True) as tls:
                    return tls.version()
            except (ssl.SSLError, OSError) as error:
                return str(error)

        return shaken(net, client, name, act)

    seen, said = play(ssl.TLSVersion.TLSv1_1)
    assert seen["status"] == "invalid" and "protocol" in said, said
    seen, said = play(ssl.TLSVersion.TLSv1_2)
    assert (seen["status"], said) == ("valid", "TLSv1.2")


def test_acme_tls_is_for_validation_only(net, client, name):
    """Section 4: neither does the CA's own HTTPS choose it, nor does a query of http-01 that is sent to HTTPS offer it."""
    tls = client.server.tls()
    tls.set_alpn_protocols(["acme-tls/1"])
    with contextlib.suppress(ssl.SSLError), tls.wrap_socket(client.server.connect(), server_hostname="localhost") as connection:
        assert connection.selected_alpn_protocol() is None
    tls.set_alpn_protocols(["acme-tls/1", "http/1.1"])
    with tls.wrap_socket(client.server.connect(), server_hostname="localhost") as connection:
        assert connection.selected_alpn_protocol() in (None, "http/1.1")
    hellos = []
    net.handshakes[name] = lambda connection: hellos.append(read_hello(connection))
    says_bytes(net, name, network.response(302, headers=[f"Location: https://{name}/proof"]))
    order = client.order(name)
    challenge = order.challenge()
    client.post(challenge["url"], {}).ok()
    assert ended(client, challenge)["status"] == "invalid"
    assert hellos and all(b"acme-tls/1" not in hello.protocols() for hello in hellos)


# --- RFC 8738: addresses ---


@pytest.mark.parametrize("caa", ["ignored", "checked"])
@pytest.mark.parametrize("kind", ["http-01", "tls-alpn-01"])
def test_nobody_is_asked_for_an_address(kind, caa, net, tmp_path):
    """Section 4: the query goes to the identifier itself, and no DNS server hears of it."""
    with a_ca(tmp_path, net, ip_identifiers=True, caa=caa, **NEVER_RETRIED) as server:
        client, asked = registered(server), len(net.asked)
        order = order_of(client, ip("127.0.0.1"))
        challenge = order.challenge(kind=kind)
        proof = net.proofs[challenge["token"]] = key_authorization(client, challenge)
        pem = network.certificate([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))], proof)
        net.handshakes["1.0.0.127.in-addr.arpa"] = lambda connection: network.shake(connection, pem)
        client.post(challenge["url"], {}).ok()
        assert ended(client, challenge)["status"] == "valid"
        assert net.asked[asked:] == []
        order = order_of(client, ip("127.0.0.2"))  # where nobody listens
        challenge = order.challenge(kind=kind)
        client.post(challenge["url"], {}).ok()
        error = ended(client, challenge)["error"]
        assert error["type"] == URN + "connection" and "127.0.0.2" in error["detail"], error
        assert net.asked[asked:] == []
        client.close()


HERE, THERE = (x509.IPAddress(ipaddress.ip_address(text)) for text in ("127.0.0.1", "127.0.0.2"))
IP_NAMES = {
    "the address": ([HERE], "valid"),
    "another address": ([THERE], "invalid"),
    "an address too many": ([HERE, THERE], "invalid"),
    "the address twice": ([HERE, HERE], "invalid"),
    "a name beside it": ([HERE, x509.DNSName("127.0.0.1")], "invalid"),
    "the address as a name": ([x509.DNSName("127.0.0.1")], "invalid"),
    "a name like ours for it": ([x509.DNSName("ip:127.0.0.1")], "invalid"),
    "its reverse name": ([x509.DNSName("1.0.0.127.in-addr.arpa")], "invalid"),
    "an IPv6 address that holds it": ([x509.IPAddress(ipaddress.ip_address("::ffff:127.0.0.1"))], "invalid"),
    "none": ([], "invalid"),
}


@pytest.mark.parametrize("case", IP_NAMES)
def test_certificates_that_prove_an_address(case, net, client):
    """Section 6: one iPAddress, which is the identifier, and nothing else."""
    names, status = IP_NAMES[case]
    order = order_of(client, ip("127.0.0.1"))
    challenge = order.challenge(kind="tls-alpn-01")
    pem = network.certificate(names, key_authorization(client, challenge))
    net.handshakes["1.0.0.127.in-addr.arpa"] = lambda connection: network.shake(connection, pem)
    client.post(challenge["url"], {}).ok()
    assert ended(client, challenge)["status"] == status
