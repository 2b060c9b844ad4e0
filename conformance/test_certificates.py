"""What becomes of certificates: revocation, their status, alternate chains, addresses, renewal information and profiles, over
HTTPS, by clients that share no code with the program."""

import base64
import contextlib
import datetime
import email.utils
import ipaddress
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pytest
import serving
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID
from serving import GONE, Client, EcKey, b64, csr_der, p256, unb64

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


# --- status: RFC 6960, RFC 5280 section 5 ---


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    """A server with a port for relying parties."""
    with serving.serving(tmp_path_factory.mktemp("status"), "--always-valid", "--status-port", 0) as server:
        yield server


@pytest.fixture
def holder(public):
    client = Client(public)
    client.register().ok(201)
    yield client
    client.close()


def fetch(url, body=None, media=None):
    """Over plain HTTP: status, Content-Type, body."""
    request = urllib.request.Request(url, body, {"Content-Type": media} if media else {})
    try:
        with urllib.request.urlopen(request, timeout=serving.PATIENCE_S) as reply:
            return reply.status, reply.headers["Content-Type"], reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read()


def ask_status(public, leaf, above, algorithm=None):
    """By POST and by GET, which say the same."""
    builder = ocsp.OCSPRequestBuilder().add_certificate(leaf, above[0], algorithm or hashes.SHA1())
    der = builder.build().public_bytes(DER)
    by_get = f"{public.status_url}/ocsp/{urllib.parse.quote(base64.b64encode(der), safe='')}"
    answers = []
    for status, media, body in (fetch(f"{public.status_url}/ocsp", der, "application/ocsp-request"), fetch(by_get)):
        assert (status, media) == (200, "application/ocsp-response")
        answers.append(ocsp.load_der_ocsp_response(body))
    assert answers[0].certificate_status == answers[1].certificate_status
    return answers[0]


def crl_of(public):
    status, media, body = fetch(f"{public.status_url}/crl")
    assert (status, media) == (200, "application/pkix-crl")
    return x509.load_der_x509_crl(body)


def openssl(*arguments):
    run = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, timeout=serving.PATIENCE_S)
    return run.returncode, run.stdout + run.stderr


def write_pems(folder, leaf, above):
    for name, certificate in (("leaf", leaf), ("issuer", above[0])):
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def openssl_ocsp(public, folder, leaf, above, *more):
    write_pems(folder, leaf, above)
    where = ("-url", f"{public.status_url}/ocsp", "-CAfile", public.trust)
    return openssl("ocsp", *more, "-issuer", folder / "issuer.pem", "-cert", folder / "leaf.pem", *where)


def test_leaves_say_where_their_status_is(public, holder, client):
    leaf, above, _ = obtain(holder)
    access = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    urls = {one.access_method: one.access_location.value for one in access}
    assert urls[AuthorityInformationAccessOID.OCSP] == f"{public.status_url}/ocsp"
    status, media, issuer = fetch(urls[AuthorityInformationAccessOID.CA_ISSUERS])
    assert (status, media) == (200, "application/pkix-cert")
    assert x509.load_der_x509_certificate(issuer) == above[0]
    points = leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert points[0].full_name[0].value == f"{public.status_url}/crl"
    without, _, _ = obtain(client)  # from a server that has no such port
    with pytest.raises(x509.ExtensionNotFound):
        without.extensions.get_extension_for_class(x509.AuthorityInformationAccess)


@pytest.mark.parametrize("algorithm", [hashes.SHA1(), hashes.SHA256()], ids=lambda h: h.name)
def test_status_good_and_revoked(public, holder, algorithm):
    leaf, above, _ = obtain(holder)
    answer = ask_status(public, leaf, above, algorithm)
    assert answer.certificate_status == ocsp.OCSPCertStatus.GOOD
    assert answer.serial_number == leaf.serial_number
    assert answer.next_update - answer.this_update == datetime.timedelta(days=7)
    before = crl_of(public)
    assert before.get_revoked_certificate_by_serial_number(leaf.serial_number) is None
    revoke(holder, leaf, reason=1).ok()
    answer = ask_status(public, leaf, above, algorithm)
    assert answer.certificate_status == ocsp.OCSPCertStatus.REVOKED
    assert answer.revocation_reason == x509.ReasonFlags.key_compromise
    above[0].public_key().verify(answer.signature, answer.tbs_response_bytes, ec.ECDSA(answer.signature_hash_algorithm))
    after = crl_of(public)
    assert after.is_signature_valid(above[0].public_key()) and after.issuer == leaf.issuer
    entry = after.get_revoked_certificate_by_serial_number(leaf.serial_number)
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason == x509.ReasonFlags.key_compromise
    assert entry.revocation_date == answer.revocation_time


def test_status_of_what_is_not_ours(public, holder, client):
    foreign, foreign_issuer, _ = obtain(client)
    _, above, _ = obtain(holder)
    assert ask_status(public, foreign, foreign_issuer).certificate_status == ocsp.OCSPCertStatus.UNKNOWN
    assert ask_status(public, foreign, above).certificate_status == ocsp.OCSPCertStatus.UNKNOWN


@pytest.mark.parametrize("body", [b"", b"x", b"\x30\x00", b"\x30\x84\xff\xff\xff\xff", b"\x30" * 70000])
def test_what_is_no_ocsp_request(public, body):
    status, media, answer = fetch(f"{public.status_url}/ocsp", body, "application/ocsp-request")
    assert (status, media) == (200, "application/ocsp-response")
    assert ocsp.load_der_ocsp_response(answer).response_status == ocsp.OCSPResponseStatus.MALFORMED_REQUEST


@pytest.mark.parametrize("path", ["", "%", "%4", "MA", "////", "a" * 3000])
def test_what_is_no_ocsp_path(public, path):
    status, _, answer = fetch(f"{public.status_url}/ocsp/{path}")
    assert status == 200
    assert ocsp.load_der_ocsp_response(answer).response_status == ocsp.OCSPResponseStatus.MALFORMED_REQUEST


def test_openssl_believes_it(public, holder, tmp_path):
    leaf, above, _ = obtain(holder)
    code, said = openssl_ocsp(public, tmp_path, leaf, above)
    assert code == 0 and "Response verify OK" in said and "leaf.pem: good" in said, said
    revoke(holder, leaf, reason=4).ok()
    code, said = openssl_ocsp(public, tmp_path, leaf, above, "-sha256", "-no_nonce")
    assert code == 0 and "Response verify OK" in said, said
    assert "leaf.pem: revoked" in said and "Reason: superseded" in said, said


def test_openssl_believes_the_crl(public, holder, tmp_path):
    leaf, above, _ = obtain(holder)
    write_pems(tmp_path, leaf, above)
    (tmp_path / "crl.der").write_bytes(fetch(f"{public.status_url}/crl")[2])
    code, said = openssl("crl", "-inform", "DER", "-in", tmp_path / "crl.der", "-CAfile", tmp_path / "issuer.pem", "-noout")
    assert code == 0 and "verify OK" in said, said

    def check():
        pem = crl_of(public).public_bytes(serialization.Encoding.PEM)
        (tmp_path / "crl.pem").write_bytes(pem)
        files = ("-CAfile", public.trust, "-untrusted", tmp_path / "issuer.pem", "-CRLfile", tmp_path / "crl.pem")
        return openssl("verify", "-no-CApath", "-no-CAstore", "-crl_check", *files, tmp_path / "leaf.pem")

    code, said = check()
    assert code == 0, said
    revoke(holder, leaf).ok()
    code, said = check()
    assert code != 0 and "certificate revoked" in said, said


def test_plain_http_is_for_status_only(public, holder):
    for path in ("dir", "nonce-plz", "terms", "new-account"):
        assert fetch(f"{public.status_url}/{path}")[0] == 404
    assert fetch(f"{public.status_url}/crl", b"x")[0] == 405
    assert holder.request("GET", f"{public.base}/crl").ok().body  # and over HTTPS too
    assert fetch(f"{public.status_url}/ocsp")[0] == 405


# --- chains: RFC 8555 section 7.4.2 ---


@contextlib.contextmanager
def serving_profile(folder, *options, **members):
    """A server whose profile differs in these members from the default."""
    with serving.serving(folder, "--always-valid", "--profile", serving.profile_file(folder, **members), *options) as server:
        yield server


@contextlib.contextmanager
def registered(server):
    client = Client(server)
    client.register().ok(201)
    yield client
    client.close()


def alternates(reply):
    return re.findall('<([^>]*)>;rel="alternate"', ", ".join(reply.headers.get_all("Link")))


@pytest.mark.parametrize("length", [1, 3])
def test_alternate_chains(length, tmp_path):
    with serving_profile(tmp_path, alternate_chains=2, chain_length=length) as server, registered(server) as client:
        roots = serving.certificates(server.trust.read_bytes())
        assert len(roots) == 3
        order = prove_all(client.order(*NAMES))
        order.finalize(csr_der(NAMES)).ok()
        url = order.poll("valid")["certificate"]
        links = alternates(client.post(url).ok())
        assert links == [f"{url}/1", f"{url}/2"]
        assert alternates(client.post(links[0]).ok()) == [url, f"{url}/2"]
        leaves = set()
        for i, where in enumerate([url, *links]):
            reply = client.post(where).ok()
            assert serving.PEM_CHAIN.fullmatch(reply.body), reply
            chain = serving.certificates(reply.body)
            assert len(chain) == length + 1
            leaves.add(chain[0].public_bytes(DER))
            for below, above in zip(chain, [*chain[1:], roots[i]]):
                assert below.issuer == above.subject  # leaf first, and the root is left out
            for k, root in enumerate(roots):
                pem = tmp_path / "root.pem"
                pem.write_bytes(root.public_bytes(serialization.Encoding.PEM))
                good, said = serving.openssl_verifies(chain, pem, tmp_path)
                assert good == (k == i), said
        assert len(leaves) == 1
        for rest in ("/", "/0", "/3", "/01", "/x", "/1/", "1"):
            client.post(url + rest).refused(404, "malformed")


def test_no_alternate_chains(client):
    order = prove_all(client.order(*NAMES))
    order.finalize(csr_der(NAMES)).ok()
    url = order.poll("valid")["certificate"]
    assert alternates(client.post(url).ok()) == []
    client.post(f"{url}/1").refused(404, "malformed")


def test_alternate_chains_are_private(tmp_path):
    with serving_profile(tmp_path, alternate_chains=1) as server, registered(server) as client, registered(server) as other:
        order = prove_all(client.order(*NAMES))
        order.finalize(csr_der(NAMES)).ok()
        other.post(order.poll("valid")["certificate"] + "/1").refused(403, "unauthorized")


# --- IP addresses: RFC 8738 ---

ADDRESSES = ["192.0.2.7", "2001:db8::1"]


def ip(value):
    return {"type": "ip", "value": value}


def dns(value):
    return {"type": "dns", "value": value}


def order_of(client, *identifiers):
    reply = client.post(client.directory["newOrder"], {"identifiers": list(identifiers)}).ok(201)
    assert reply.json()["identifiers"] == list(identifiers)
    return serving.Order(client, reply.headers["Location"], reply.json())


def address_csr(dns_names, addresses, more=()):
    names = [x509.DNSName(name) for name in dns_names] + [x509.IPAddress(ipaddress.ip_address(a)) for a in addresses]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName([*names, *more]), critical=False)
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(DER)


@pytest.fixture(scope="module")
def target():
    with serving.target_running() as target:
        yield target


@pytest.fixture(scope="module")
def addresses(target, tmp_path_factory):
    """A server that really validates, and takes addresses."""
    folder = tmp_path_factory.mktemp("addresses")
    options = ["--profile", serving.profile_file(folder, ip_identifiers=True), "--speed", "10"]
    with serving.serving(folder, *options, http_port=target.port) as server:
        yield server


@pytest.fixture
def roamer(addresses):
    with registered(addresses) as client:
        yield client


def test_certificates_for_addresses(addresses, roamer, target, tmp_path):
    target.start("ok")
    order = order_of(roamer, *map(ip, ADDRESSES), dns("a.example.test"))
    for i, value in enumerate(ADDRESSES):
        authz = order.authz(i)
        assert authz["identifier"] == ip(value) and "wildcard" not in authz
        assert {challenge["type"] for challenge in authz["challenges"]} == {"http-01", "tls-alpn-01"}
    assert order.authz(2)["identifier"] == dns("a.example.test")
    order.prove_all(target)
    assert {fetch.host for fetch in target.fetches} == {"192.0.2.7", "[2001:db8::1]", "a.example.test"}
    order.finalize(address_csr(["a.example.test"], ADDRESSES)).ok()
    chain = order.download()
    names = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert sorted(map(str, names.get_values_for_type(x509.IPAddress))) == ADDRESSES
    assert names.get_values_for_type(x509.DNSName) == ["a.example.test"]
    good, said = serving.openssl_verifies(chain, addresses.trust, tmp_path)
    assert good, said


def test_address_alone(roamer, target):
    """There is no name for a subject: the alternative name is critical then."""
    target.start("ok")
    order = order_of(roamer, ip(ADDRESSES[1]))
    order.prove_all(target)
    order.finalize(address_csr([], [ADDRESSES[1]])).ok()
    leaf = order.download()[0]
    assert leaf.subject == x509.Name([])
    assert leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical
    assert is_revoked(revoke(roamer, leaf))


def test_the_error_of_an_address(roamer, target):
    target.start("404")
    order = order_of(roamer, ip(ADDRESSES[0]))
    url, _ = order.answer(target)
    challenge = serving.until(lambda: (c := roamer.post(url).ok().json()).get("error") and c, "an error")
    assert challenge["error"]["subproblems"][0]["identifier"] == ip(ADDRESSES[0])


NOT_CANONICAL = ["2001:DB8::1", "2001:db8:0:0:0:0:0:1", "2001:0db8::1", "2001:db8::0:1", "::ffff:192.0.2.1"]
NO_ADDRESSES = ["", "a.example.test", "*.192.0.2.1", "192.0.2", "192.0.2.01", "192.0.2.256", "[2001:db8::1]", "fe80::1%eth0", "192.0.2.1/32"]


@pytest.mark.parametrize("value", NOT_CANONICAL + NO_ADDRESSES)
def test_how_addresses_are_not_written(roamer, value):
    roamer.post(roamer.directory["newOrder"], {"identifiers": [ip(value)]}).refused(400, "malformed")


def test_an_address_is_no_dns_name(roamer):
    problem = roamer.post(roamer.directory["newOrder"], {"identifiers": [dns("192.0.2.1")]}).refused(400, "rejectedIdentifier")
    assert problem["subproblems"][0]["identifier"] == dns("192.0.2.1")
    roamer.post(roamer.directory["newOrder"], {"identifiers": [{"type": "onion", "value": "x"}]}).refused(
        400, "unsupportedIdentifier"
    )


@pytest.mark.parametrize(
    "der",
    [
        address_csr([], []),
        address_csr([], [ADDRESSES[1]]),
        address_csr([], ADDRESSES),
        address_csr([ADDRESSES[0]], []),  # as a dns name
        address_csr(["a.example.test"], [ADDRESSES[0]]),
        address_csr([], [ADDRESSES[0]], [x509.RFC822Name("a@example.test")]),
    ],
    ids=["none", "another", "more", "as dns", "a name too", "a mailbox too"],
)
def test_csr_and_order_must_agree(roamer, target, der):
    target.start("ok")
    order = order_of(roamer, ip(ADDRESSES[0]))
    order.prove_all(target)
    order.finalize(der).refused(400, "badCSR")
    order.finalize(address_csr([], [ADDRESSES[0]])).ok()


def test_addresses_are_an_extension(client):
    client.post(client.directory["newOrder"], {"identifiers": [ip("192.0.2.1")]}).refused(400, "unsupportedIdentifier")


def test_no_challenge_for_addresses(tmp_path):
    with serving_profile(tmp_path, ip_identifiers=True) as server, registered(server) as client:
        order = prove_all(order_of(client, ip("192.0.2.1")))
        order.finalize(address_csr([], ["192.0.2.1"])).ok()
        assert order.download()


# --- renewal information: RFC 9773 ---


def renewal_id(leaf):
    """Section 4.1, from the certificate alone."""
    key_id = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    serial = leaf.serial_number
    return f"{b64(key_id)}.{b64(serial.to_bytes(serial.bit_length() // 8 + 1, 'big'))}"


def window(client, leaf):
    reply = client.request("GET", f"{client.directory['renewalInfo']}/{renewal_id(leaf)}").ok()
    info = reply.json()
    start, end = (datetime.datetime.strptime(info["suggestedWindow"][key], "%Y-%m-%dT%H:%M:%SZ") for key in ("start", "end"))
    assert start < end
    return reply, info, start, end


def seconds(time):
    """To the next second: parts of one are dropped here and there."""
    return datetime.timedelta(seconds=time)


def test_suggested_window(client):
    leaf, _, _ = obtain(client)
    reply, info, start, end = window(client, leaf)
    lifetime = leaf.not_valid_after - leaf.not_valid_before
    assert abs(start - leaf.not_valid_before - lifetime * 0.66) <= seconds(1)
    assert abs(end - leaf.not_valid_before - lifetime * 0.9) <= seconds(1)
    assert reply.headers["Retry-After"] == "21600"
    assert set(info) == {"suggestedWindow"}


def test_suggested_window_of_a_revoked_certificate(client):
    leaf, _, _ = obtain(client)
    revoke(client, leaf).ok()
    _, _, _, end = window(client, leaf)
    assert end <= datetime.datetime.utcnow()


def test_window_is_the_profiles(tmp_path):
    rules = {"renewal_window": "0%..1%", "renewal_explanation": "https://ca.test/why", "renewal_retry_after": "90s"}
    with serving_profile(tmp_path, **rules, retry_after="date") as server, registered(server) as client:
        leaf, _, _ = obtain(client)
        reply, info, start, end = window(client, leaf)
        assert abs(start - leaf.not_valid_before) <= seconds(1)
        assert abs(end - start - (leaf.not_valid_after - leaf.not_valid_before) / 100) <= seconds(1)
        assert info["explanationURL"] == "https://ca.test/why"
        again = email.utils.parsedate_to_datetime(reply.headers["Retry-After"]).replace(tzinfo=None)
        assert abs(again - datetime.datetime.utcnow() - seconds(90)) < seconds(30)


def test_no_renewal_information(tmp_path):
    with serving_profile(tmp_path, renewal_window="none") as server, registered(server) as client:
        assert "renewalInfo" not in client.directory
        leaf, _, _ = obtain(client)
        client.request("GET", f"{server.base}/renewal/{renewal_id(leaf)}").refused(404, "malformed")
        order = new_order(client, renewal_id(leaf)).ok(201)  # a member that nobody knows
        assert "replaces" not in order.json()


def test_ids_of_no_certificate(client):
    leaf, _, _ = obtain(client)
    key_id, serial = renewal_id(leaf).split(".")
    rows = {f"{b64(b'x' * 20)}.{serial}": 404, f"{key_id}.{b64(b'x')}": 404, f"{key_id}.{b64(bytes(1) + unb64(serial))}": 404}
    rows |= dict.fromkeys([key_id, f"{key_id}.", f".{serial}", f"{key_id}.{serial}=", f"{key_id}.{serial}.{serial}", "", "%"], 400)
    for wrong, status in rows.items():
        client.request("GET", f"{client.directory['renewalInfo']}/{wrong}").refused(status, "malformed")
        new_order(client, wrong).refused(400, "malformed") if wrong else None
    client.request("POST", f"{client.directory['renewalInfo']}/{renewal_id(leaf)}", b"{}").refused(405, "malformed")


def new_order(client, replaces, names=NAMES):
    body = {"identifiers": [dns(name) for name in names], "replaces": replaces}
    return client.post(client.directory["newOrder"], body)


def test_replaces(client):
    leaf, _, _ = obtain(client)
    reply = new_order(client, renewal_id(leaf), [NAMES[1], "other.example.test"]).ok(201)  # one name in common is enough
    order = serving.Order(client, reply.headers["Location"], reply.json())
    assert order.document["replaces"] == order.read()["replaces"] == renewal_id(leaf)
    new_order(client, renewal_id(leaf)).refused(409, "alreadyReplaced")
    client.post(order.authz_urls[0], {"status": "deactivated"}).ok()
    assert order.read()["status"] == "invalid"
    reply = new_order(client, renewal_id(leaf)).ok(201)  # for the one that replaced it came to nothing
    order = prove_all(serving.Order(client, reply.headers["Location"], reply.json()))
    order.finalize(csr_der(NAMES)).ok()
    assert order.download()[0].serial_number != leaf.serial_number
    assert order.read()["replaces"] == renewal_id(leaf)
    new_order(client, renewal_id(leaf)).refused(409, "alreadyReplaced")


def test_replaces_refused(client, stranger):
    leaf, _, _ = obtain(client)
    new_order(stranger, renewal_id(leaf)).refused(403, "unauthorized")
    new_order(client, renewal_id(leaf), ["other.example.test", "b.example.test"]).refused(400, "malformed")
    new_order(client, 7).refused(400, "malformed")
    new_order(client, renewal_id(leaf)).ok(201)  # none of these has replaced it


# --- profiles: draft-ietf-acme-profiles ---

KINDS = {"classic": {"title": "what everybody has", "lifetime": "90d"}, "short": {"title": "https://ca.test/short", "lifetime": "6d16h"}}


def order_profile(client, profile, **members):
    return client.post(client.directory["newOrder"], {"identifiers": [dns(NAMES[0])], "profile": profile, **members})


def test_certificate_profiles(tmp_path):
    with serving_profile(tmp_path, certificate_profiles=KINDS) as server, registered(server) as client:
        assert client.directory["meta"]["profiles"] == {name: kind["title"] for name, kind in KINDS.items()}
        for name, hours in (("classic", 90 * 24), ("short", 6 * 24 + 16)):
            reply = order_profile(client, name).ok(201)
            order = prove_all(serving.Order(client, reply.headers["Location"], reply.json()))
            assert order.document["profile"] == order.read()["profile"] == name
            order.finalize(csr_der([NAMES[0]])).ok()
            leaf = order.download()[0]
            assert leaf.not_valid_after - leaf.not_valid_before == datetime.timedelta(hours=hours)
        for wrong in ("long", "Short", "short ", "x" * 5000):
            order_profile(client, wrong).refused(400, "invalidProfile")
        order_profile(client, 7).refused(400, "malformed")
        later = (datetime.datetime.utcnow() + datetime.timedelta(days=10)).strftime("%Y-%m-%dT%H:%M:%SZ")
        order_profile(client, "short", notAfter=later).refused(400, "malformed")  # longer than this profile has
        order_profile(client, "classic", notAfter=later).ok(201)
        assert "profile" not in client.order(NAMES[0]).document


def test_no_certificate_profiles(client):
    assert "profiles" not in client.directory["meta"]
    assert "profile" not in order_profile(client, "short").ok(201).json()  # a member that nobody knows
