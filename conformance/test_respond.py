"""`acmedrill respond`, met by validators that share no code with it: every call of its interface, every record and response
code, every way of http-01 and of a tls-alpn-01 certificate to be wrong."""

import datetime
import hashlib
import ipaddress
import itertools
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest
import requests
import responding
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives import hashes
from responding import ACME_TLS, framed, read_framed
from serving import ACMEDRILL, PATIENCE_S, ROOT, read_lines

ID_PE_ACME = "1.3.6.1.5.5.7.1.31"
ID_PE_ACME_DRAFT = "1.3.6.1.5.5.7.1.30.1"
SILENCE_S = 0.4
VIAS = ["udp", "tcp", "doh-post", "doh-get"]
numbers = itertools.count()


@pytest.fixture(scope="module")
def it(tmp_path_factory):
    with responding.responding(tmp_path_factory.mktemp("respond")) as it:
        yield it


@pytest.fixture
def name():
    """One that no other test uses."""
    return f"n{next(numbers)}.test"


@pytest.fixture
def token():
    return f"token-{next(numbers)}"


# --- http-01 ---


def test_a_token_is_served_under_every_name_until_it_is_deleted(it, token):
    it.call("add-http01", token=token, content=token + ".abc")
    for host in ("a.test", "b.test"):
        reply = it.token(token, host=host)
        assert (reply.status_code, reply.text) == (200, token + ".abc")
        assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert it.token(token, service="https").text == token + ".abc"
    it.call("add-http01", token=token, content="another")
    assert it.token(token).text == "another"
    it.call("del-http01", token=token)
    assert (it.token(token).status_code, it.token(token).text) == (200, "")


def test_a_redirect_leads_away_over_http_only(it, token):
    path = "/.well-known/acme-challenge/" + token
    it.call("add-redirect", path=path, targetURL="https://b.test/x?y")
    it.call("add-http01", token=token, content="here")
    reply = it.get(path)
    assert (reply.status_code, reply.headers["Location"]) == (302, "https://b.test/x?y")
    assert it.get(path, service="https").text == "here"
    it.call("add-redirect", path=path, targetURL="/elsewhere", status=308)
    assert (it.get(path).status_code, it.get(path).headers["Location"]) == (308, "/elsewhere")
    it.call("del-redirect", path=path)
    assert it.get(path).text == "here"


def test_one_answer_for_each_request_and_the_last_one_for_ever(it, token):
    answers = ["404 x2", {"status": 503, "headers": {"Retry-After": "7"}}, "wrong-body", "ok"]
    it.call("add-http01", token=token, content="proof", answers=answers)
    seen = [it.token(token) for _ in range(6)]
    assert [reply.status_code for reply in seen] == [404, 404, 503, 200, 200, 200]
    assert seen[2].headers["Retry-After"] == "7"
    assert seen[3].text != "proof"
    assert [reply.text for reply in seen[4:]] == ["proof", "proof"]


@pytest.mark.parametrize(
    "answer, check",
    [
        ("hang", lambda text, end: (text, end) == (b"", "silence")),
        ("timeout", lambda text, end: (text, end) == (b"", "silence")),
        ("reset", lambda text, end: (text, end) == (b"", "reset")),
        ("refused", lambda text, end: (text, end) == (b"", "reset")),
        ("closed", lambda text, end: (text, end) == (b"", "closed")),
        ("garbage", lambda text, end: text and not text.startswith(b"HTTP/") and end == "closed"),
        ("truncated 5", lambda text, end: b"Content-Length: 10" in text and text.endswith(b"\r\n\r\n01234") and end == "closed"),
        ("empty", lambda text, end: text.startswith(b"HTTP/1.1 200") and text.endswith(b"\r\n\r\n") and end == "closed"),
        ("html", lambda text, end: b"text/html" in text and b"<html>" in text),
        ("newline", lambda text, end: text.endswith(b"\r\n\r\n0123456789\n")),
        ("crlf", lambda text, end: text.endswith(b"\r\n\r\n0123456789\r\n")),
        ("space", lambda text, end: text.endswith(b"\r\n\r\n0123456789 ")),
        ("huge", lambda text, end: len(text) > 100000),
        ("418", lambda text, end: text.startswith(b"HTTP/1.1 418")),
        ("slow 300ms", lambda text, end: text.endswith(b"\r\n\r\n0123456789")),
        ("delay 200ms", lambda text, end: text.endswith(b"\r\n\r\n0123456789")),
        ("redirect http://{name}/r/{token}", lambda text, end: b"\r\nLocation: http://a.test/r/fault" in text),
        ("redirect-loop", lambda text, end: b"\r\nLocation: http://a.test/.well-known/acme-challenge/fault" in text),
    ],
)
def test_every_way_of_http_to_go_wrong(it, answer, check):
    it.call("add-http01", token="fault", content="0123456789", answer=answer)
    silent = answer in ("hang", "timeout")
    text, end = it.raw("/.well-known/acme-challenge/fault", SILENCE_S if silent else PATIENCE_S)
    assert check(text, end), (text[:500], end)
    it.call("add-http01", token="fault", content="0123456789")
    assert it.token("fault").text == "0123456789"


def test_members_of_one_answer_beside_the_original_ones(it, token):
    it.call("add-http01", token=token, content="proof", status=203, headers={"X-More": "yes"}, body="<{proof}>", delay="10ms")
    reply = it.token(token)
    assert (reply.status_code, reply.headers["X-More"], reply.text) == (203, "yes", "<proof>")


# --- DNS ---


@pytest.mark.parametrize("via", VIAS)
def test_every_type_of_record(it, name, via):
    it.call("add-a", host=name + ".", addresses=["10.0.0.1", "10.0.0.2"])
    it.call("add-aaaa", host=name, addresses=["2001:db8::1"])
    it.call("set-txt", host=f"_acme-challenge.{name}.", value="one")
    it.call("set-txt", host=f"_acme-challenge.{name}.", value="two " * 100)
    it.call("add-caa", host=name, policies=[{"tag": "issue", "value": 'ca.example; x="y"'}, {"tag": "iodef", "value": "mailto:x@y"}])
    it.call("set-cname", host="www." + name, target=name + ".")
    assert it.records(name, "A", via=via) == ["10.0.0.1", "10.0.0.2"]
    assert it.records(name.upper(), "AAAA", via=via) == ["2001:db8::1"]
    texts = it.ask("_acme-challenge." + name, "TXT", via=via, use_edns=True, payload=4096).answer[0]
    assert sorted(b"".join(item.strings) for item in texts) == [b"one", b"two " * 100]
    assert it.records(name, "CAA", via=via) == ['0 iodef "mailto:x@y"', '0 issue "ca.example; x=\\"y\\""']
    assert it.records("www." + name, "CNAME", via=via) == [name + "."]
    answer = it.ask("www." + name, "A", via=via)
    assert [(rrset.name.to_text(), len(rrset)) for rrset in answer.answer] == [("www." + name + ".", 1), (name + ".", 2)]
    for call in ("clear-a", "clear-aaaa", "clear-caa"):
        it.call(call, host=name)
    it.call("clear-txt", host="_acme-challenge." + name)
    it.call("clear-cname", host="www." + name)
    assert it.records(name, "A", via=via) == ["127.0.0.1"]
    assert it.records(name, "AAAA", via=via) == ["::1"]
    for kind in ("TXT", "CAA", "CNAME"):
        empty = it.ask(name, kind, via=via)
        assert (empty.rcode(), empty.answer) == (dns.rcode.NOERROR, [])
        assert empty.authority[0].rdtype == dns.rdatatype.SOA


def test_default_addresses_can_be_changed_and_taken_away(it, name):
    it.call("set-default-ipv4", ip="192.0.2.7")
    it.call("set-default-ipv6", ip="")
    assert it.records(name, "A") == ["192.0.2.7"]
    assert it.records(name, "AAAA") == []
    it.call("set-default-ipv4", ip="127.0.0.1")
    it.call("set-default-ipv6", ip="::1")


@pytest.mark.parametrize("via", VIAS)
@pytest.mark.parametrize("rcode", ["formerr", "servfail", "nxdomain", "notimp", "refused"])
def test_every_response_code(it, name, via, rcode):
    it.call("set-servfail", host=name, rcode=rcode)
    for kind in ("A", "TXT", "CAA"):
        answer = it.ask(name, kind, via=via)
        assert (dns.rcode.to_text(answer.rcode()).lower(), answer.answer) == (rcode, [])
    it.call("clear-servfail", host=name)
    assert it.records(name, "A", via=via) == ["127.0.0.1"]


def test_servfail_is_the_default_failure_and_unknown_types_are_not_implemented(it, name):
    it.call("set-servfail", host=name + ".")
    assert it.ask(name, "TXT").rcode() == dns.rcode.SERVFAIL
    assert it.ask("other." + name, "MX").rcode() == dns.rcode.NOTIMP


def test_txt_answers_one_for_each_query(it, name):
    it.call("set-txt", host=name, value="proof", answers=["nxdomain", "servfail x2", "no-txt", "wrong-txt", "ok"])
    rcodes = [it.ask(name, "TXT").rcode() for _ in range(4)]
    assert rcodes == [dns.rcode.NXDOMAIN, dns.rcode.SERVFAIL, dns.rcode.SERVFAIL, dns.rcode.NOERROR]
    assert it.records(name, "TXT") not in ([], ['"proof"'])
    assert it.records(name, "TXT") == ['"proof"']
    assert it.records(name, "A") == ["127.0.0.1"]


def test_silence_is_no_packet(it, name):
    it.call("set-txt", host=name, value="proof", answers=["timeout x2", "ok"])
    for via in ("udp", "tcp"):
        with pytest.raises(dns.exception.Timeout):
            it.ask(name, "TXT", via=via, patience_s=SILENCE_S)
    assert it.records(name, "TXT") == ['"proof"']


def test_truncation_sends_the_asker_to_tcp(it, name):
    it.call("set-txt", host=name, value="proof", answer="truncated")
    cut = it.ask(name, "TXT", via="udp")
    assert cut.flags & dns.flags.TC and cut.answer == []
    assert it.records(name, "TXT", via="tcp") == ['"proof"']


def test_what_is_too_large_for_udp_is_truncated_by_itself(it, name):
    for i in range(4):
        it.call("set-txt", host=name, value=f"{i}" * 200)
    assert it.ask(name, "TXT").flags & dns.flags.TC
    assert len(it.records(name, "TXT", via="tcp")) == 4
    assert len(it.records(name, "TXT", use_edns=True, payload=4096)) == 4


def test_an_answer_under_another_id(it, name):
    it.call("set-txt", host=name, value="proof", answers=["wrong-id", "ok"])
    query = dns.message.make_query(name, "TXT")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.settimeout(PATIENCE_S)
        peer.sendto(query.to_wire(), ("127.0.0.1", it.ports["dns"]))
        answer = dns.message.from_wire(peer.recv(4096))
    assert answer.id != query.id and answer.answer
    assert it.records(name, "TXT") == ['"proof"']


def test_several_queries_on_one_connection(it, name):
    with it.connect("dns") as peer:
        wires = [dns.message.make_query(f"q{i}.{name}", "A").to_wire() for i in range(100)]
        peer.sendall(b"".join(map(framed, wires)))
        answers = [dns.message.from_wire(read_framed(peer)) for _ in wires]
    assert {answer.id for answer in answers} == {int.from_bytes(wire[:2], "big") for wire in wires}
    assert all(answer.answer for answer in answers)


def test_only_the_last_sixteen_records_of_a_name_are_kept(it, name):
    for i in range(20):
        it.call("set-txt", host=name, value=f"v{i:02}")
    assert it.records(name, "TXT", via="tcp") == [f'"v{i:02}"' for i in range(4, 20)]


@pytest.mark.parametrize(
    "method, path, body, headers, status",
    [
        ("GET", "/dns-query", None, {}, 400),
        ("GET", "/dns-query?dns=****", None, {}, 400),
        ("GET", "/other", None, {}, 404),
        ("POST", "/dns-query", b"abc", {"Content-Type": "application/dns-message"}, 400),
        ("POST", "/dns-query", b"", {"Content-Type": "application/dns-message"}, 400),
        ("POST", "/dns-query", b"abc", {"Content-Type": "text/plain"}, 415),
        ("PUT", "/dns-query", b"abc", {"Content-Type": "application/dns-message"}, 405),
    ],
)
def test_what_is_no_dns_over_https(it, method, path, body, headers, status):
    url = f"https://127.0.0.1:{it.ports['doh']}{path}"
    assert requests.request(method, url, data=body, headers=headers, verify=False, timeout=PATIENCE_S).status_code == status


# --- tls-alpn-01 ---


def digest_of(content):
    return b"\x04\x20" + hashlib.sha256(content.encode()).digest()


def acme_extension(certificate, number=ID_PE_ACME):
    found = [e for e in certificate.extensions if e.oid.dotted_string == number]
    return (found[0].critical, found[0].value.value) if found else None


def names_of(certificate):
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)


def self_signed(certificate):
    try:
        certificate.public_key().verify(
            certificate.signature, certificate.tbs_certificate_bytes, ec.ECDSA(certificate.signature_hash_algorithm)
        )
    except Exception:
        return False
    return certificate.issuer == certificate.subject


def is_current(certificate):
    return certificate.not_valid_before <= datetime.datetime.utcnow() <= certificate.not_valid_after


def seen(it, name):
    """All that RFC 8737 section 3 asks for."""
    protocol, certificate = it.handshake(name)
    return {
        "protocol": protocol,
        "names": names_of(certificate),
        "extension": acme_extension(certificate),
        "draft": acme_extension(certificate, ID_PE_ACME_DRAFT),
        "self_signed": self_signed(certificate),
        "current": is_current(certificate),
        "chain": len(it.chain(name)),
    }


def right(name):
    return {
        "protocol": ACME_TLS,
        "names": [name],
        "extension": (True, digest_of("key.auth")),
        "draft": None,
        "self_signed": True,
        "current": True,
        "chain": 1,
    }


DEFECTS = {
    "ok": lambda name: {},
    "wrong-san": lambda name: {"names": ["wrong." + name]},
    "extra-san": lambda name: {"names": [name, "extra." + name]},
    "upper-san": lambda name: {"names": [name.upper()]},
    "no-extension": lambda name: {"extension": None},
    "not-critical": lambda name: {"extension": (False, digest_of("key.auth"))},
    "obsolete-oid": lambda name: {"extension": None, "draft": (True, digest_of("key.auth"))},
    "not-self-signed": lambda name: {"self_signed": False},
    "two-certificates": lambda name: {"chain": 2},
    "expired": lambda name: {"current": False},
}


@pytest.mark.parametrize("answer", DEFECTS)
def test_each_defect_of_a_certificate_and_no_other(it, name, answer):
    it.call("add-tlsalpn01", host=name, content="key.auth", answer=answer)
    assert seen(it, name) == right(name) | DEFECTS[answer](name)
    it.call("add-tlsalpn01", host=name, content="key.auth")
    assert seen(it, name) == right(name)


@pytest.mark.parametrize("host", ["192.0.2.7", "2001:DB8:0::7"])
def test_an_address_is_met_under_its_reverse_name(it, host):
    """RFC 8738 section 6: in-addr.arpa or ip6.arpa in the hello, an iPAddress in the certificate."""
    address = ipaddress.ip_address(host)
    it.call("add-tlsalpn01", host=host, content="key.auth")
    _, certificate = it.handshake(address.reverse_pointer)
    san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(san) == [x509.IPAddress(address)]
    assert acme_extension(certificate) == (True, digest_of("key.auth"))
    with pytest.raises(ssl.SSLError):
        it.handshake("elsewhere." + address.reverse_pointer)


@pytest.mark.parametrize("answer", ["wrong-digest", "wrong-cert"])
def test_a_wrong_digest(it, name, answer):
    it.call("add-tlsalpn01", host=name, content="key.auth", answer=answer)
    got, want = seen(it, name), right(name)
    assert got.pop("extension") != want.pop("extension")
    assert got == want


def test_another_protocol(it, name):
    it.call("add-tlsalpn01", host=name, content="key.auth", answer="other-alpn")
    assert it.handshake(name, [ACME_TLS, "http/1.1"])[0] == "http/1.1"
    with pytest.raises(ssl.SSLError):
        it.handshake(name)  # it was not offered


def test_no_protocol_and_an_ordinary_certificate(it, name):
    it.call("add-tlsalpn01", host=name, content="key.auth", answer="no-alpn")
    protocol, certificate = it.handshake(name)
    assert (protocol, acme_extension(certificate), names_of(certificate)) == (None, None, [name])


@pytest.mark.parametrize("answer, reason", [("alert", "HANDSHAKE_FAILURE"), ("plain-http", "WRONG_VERSION_NUMBER")])
def test_no_handshake(it, name, answer, reason):
    it.call("add-tlsalpn01", host=name, content="key.auth", answer=answer)
    with pytest.raises(ssl.SSLError) as error:
        it.handshake(name)
    assert reason in str(error.value)


def test_plain_http_is_what_a_browser_would_read(it, name):
    it.call("add-tlsalpn01", host=name, content="key.auth", answer="plain-http")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([ACME_TLS])
    out = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name).do_handshake()
    with it.connect("tls-alpn-01") as peer:
        peer.sendall(out.read())
        assert responding.drain(peer)[0].startswith(b"HTTP/1.1 400")


def test_connections_that_end_or_stay_silent(it, name):
    it.call("add-tlsalpn01", host=name, content="key.auth", answers=["reset", "closed", "timeout", "delay 100ms"])
    with pytest.raises(ConnectionResetError):
        it.handshake(name)
    with pytest.raises(ssl.SSLError) as closed:
        it.handshake(name)
    assert "EOF" in str(closed.value)
    context = ssl.create_default_context()
    context.set_alpn_protocols([ACME_TLS])
    with it.connect("tls-alpn-01") as peer:
        peer.settimeout(SILENCE_S)
        with pytest.raises(TimeoutError):
            context.wrap_socket(peer, server_hostname=name)
    assert seen(it, name) == right(name)


@pytest.mark.parametrize("offered", [["h2"], []])
def test_who_does_not_offer_the_protocol_gets_an_alert(it, name, offered):
    it.call("add-tlsalpn01", host=name, content="key.auth")
    with pytest.raises(ssl.SSLError) as error:
        it.handshake(name, offered)
    assert "no application protocol" in str(error.value)


def test_names_that_nobody_pinned_up_get_an_alert(it, name):
    with pytest.raises(ssl.SSLError) as error:
        it.handshake(name)
    assert "UNRECOGNIZED_NAME" in str(error.value)
    it.call("add-tlsalpn01", host=name, content="key.auth")
    assert it.handshake(name.upper())[0] == ACME_TLS
    it.call("del-tlsalpn01", host=name)
    with pytest.raises(ssl.SSLError):
        it.handshake(name)


# --- history ---


def test_history_tells_who_asked_for_what(it, name):
    it.get("/a?b=c", host=f"{name}:80")
    it.get("/d", host=name, service="https")
    it.ask(name, "TXT")
    it.ask(name.upper(), "A", via="tcp")
    it.call("add-tlsalpn01", host=name, content="key.auth")
    it.handshake(name, ["h2", ACME_TLS])
    assert it.history("http", name) == [
        {"URL": "/a?b=c", "Host": f"{name}:80", "HTTPS": False, "ServerName": ""},
        {"URL": "/d", "Host": name, "HTTPS": True, "ServerName": name},
    ]
    asked = [{"Question": {"Name": name + ".", "Qtype": kind, "Qclass": 1}} for kind in (16, 1)]
    assert it.history("dns", name) == it.history("dns", name + ".") == asked
    assert it.history("tlsalpn01", name) == [{"ServerName": name, "SupportedProtos": ["h2", ACME_TLS]}]
    for kind, word in (("http", "http"), ("dns", "dns"), ("tlsalpn01", "tlsalpn")):
        assert it.history(kind, "other." + name) == []
        it.call("clear-request-history", host=name, type=word)
        assert it.history(kind, name) == []


# --- the interface ---


@pytest.mark.parametrize(
    "call, body",
    [
        ("add-a", {"host": "x"}),
        ("add-a", {"addresses": ["1.2.3.4"]}),
        ("add-aaaa", {"host": "x", "addresses": []}),
        ("clear-a", {}),
        ("add-caa", {"host": "x"}),
        ("set-cname", {"host": "x"}),
        ("set-txt", {"host": "", "value": "x"}),
        ("set-txt", {"host": "x", "value": ""}),
        ("set-servfail", {}),
        ("add-http01", {"token": "x"}),
        ("add-http01", {"content": "x"}),
        ("del-http01", {}),
        ("add-redirect", {"path": "/x", "targetURL": ""}),
        ("del-redirect", {}),
        ("add-tlsalpn01", {"host": "x"}),
        ("del-tlsalpn01", {}),
    ],
)
def test_what_is_missing_is_refused_without_a_word_as_the_original_does(it, call, body):
    reply = it.post(call, **body)
    assert (reply.status_code, reply.text) == (400, "")


@pytest.mark.parametrize(
    "call, body, text",
    [
        ("add-http01", {"token": "x", "content": "y", "answers": ["404", "okk"]}, 'unknown http-01 answer "okk" - did you mean "ok"?'),
        ("add-http01", {"token": "x", "content": "y", "statsu": 404}, 'unknown member "statsu" - did you mean "status"?'),
        ("add-http01", {"token": "x", "content": "y", "status": 40}, "40 is not within 100 and 599"),
        ("add-http01", {"token": 1, "content": "y"}, "a text is expected here, not a whole number"),
        ("add-tlsalpn01", {"host": "x", "content": "y", "answer": "wrong-sam"}, 'did you mean "wrong-san"?'),
        ("set-txt", {"host": "x", "value": "y", "answer": "nxdomian"}, 'did you mean "nxdomain"?'),
        ("add-a", {"host": "x", "addresses": ["::1"]}, '"::1" is not an IPv4 address'),
        ("add-aaaa", {"host": "x", "addresses": ["::1", "1.2.3.4"]}, '"1.2.3.4" is not an IPv6 address'),
        ("set-default-ipv4", {"ip": "x"}, '"x" is not an IPv4 address'),
        ("add-redirect", {"path": "/x", "targetURL": "http://x/\r\nX: y"}, "a URL has no control characters"),
        ("add-caa", {"host": "x", "policies": [{"tag": "a b", "value": ""}]}, "a tag has letters and digits only"),
        ("http-request-history", {}, "host parameter of POST body must not be empty"),
        ("clear-request-history", {"host": "x", "type": "tlsalpn01"}, '"tlsalpn01" event type unknown'),
    ],
)
def test_mistakes_are_told(it, call, body, text):
    reply = it.post(call, **body)
    assert reply.status_code == 400
    assert text in reply.text and reply.text.endswith("\n")


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff", b'{"token":"a","token":"b"}', b"[" * 100])
def test_what_is_no_json_object_is_refused_with_its_place(it, body):
    reply = requests.post(f"http://127.0.0.1:{it.ports['management']}/add-http01", body, timeout=PATIENCE_S)
    assert reply.status_code == 400 and reply.text.startswith("body:1:")


def test_members_in_any_case_and_unknown_ones_are_taken_as_the_original_takes_them(it, token):
    it.call("add-http01", Token=token, CONTENT="x", comment="from a script")
    assert it.token(token).text == "x"


# --- the command ---


@pytest.fixture
def drop_in(tmp_path):
    """A copy under the original's name."""
    path = tmp_path / "pebble-challtestsrv"
    path.symlink_to(pathlib.Path(ACMEDRILL).resolve())
    return str(path)


def test_it_can_stand_in_for_the_original(drop_in):
    off = ["-http01", "", "-https01=", "-tlsalpn01", "", "-doh", ""]
    dns01 = ["-dns01", "127.0.0.1:0", "-defaultIPv6", "", "--defaultIPv4=10.1.2.3"]
    process = subprocess.Popen(
        [drop_in, *off, *dns01, "-management", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    )
    with process:
        lines = read_lines(process, 2)
        ports = {"dns": int(lines[0].rpartition(":")[2]), "management": int(lines[1].rpartition(":")[2])}
        assert lines[0].startswith("pebble-challtestsrv - Creating TCP and UDP DNS-01 challenge server on 127.0.0.1:")
        assert lines[1].startswith("pebble-challtestsrv - Starting management server on 127.0.0.1:")
        it = responding.Responders(process, ports)
        assert (it.records("a.test", "A"), it.records("a.test", "AAAA")) == (["10.1.2.3"], [])
        it.call("set-txt", host="_acme-challenge.a.test.", value="x")
        assert it.records("_acme-challenge.a.test", "TXT") == ['"x"']
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
        assert process.stderr.read() == b""


@pytest.mark.parametrize(
    "options, status, text",
    [
        (["-nothing"], 2, "unrecognized option"),
        (["-http01", "nowhere"], 2, '"nowhere" is not an address and port'),
        (["-http01", "127.0.0.1:70000"], 2, "is not an address and port"),
        (["-management", "127.0.0.1:0,127.0.0.1:0"], 2, "is not one address and port"),
        (["-doh-cert", "x"], 2, "go together"),
        (["-http01", "192.0.2.1:0"], 5, "cannot listen for http-01 on 192.0.2.1:0"),
    ],
)
def test_wrong_options_are_told(options, status, text):
    quiet = ["-https01", "", "-tlsalpn01", "", "-dnsserver", "", "-doh", "", "-management", "127.0.0.1:0"]
    run = subprocess.run([ACMEDRILL, "challtestsrv", *quiet, *options], capture_output=True, text=True, timeout=PATIENCE_S)
    assert (run.returncode, text in run.stderr) == (status, True), run.stderr


def test_doh_with_a_certificate_of_ones_own_and_a_history(tmp_path):
    key, certificate, history = tmp_path / "key.pem", tmp_path / "cert.pem", tmp_path / "history.jsonl"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(key)]
        + ["-out", str(certificate), "-subj", "/CN=mine", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True,
        capture_output=True,
        timeout=PATIENCE_S,
    )
    options = ["--doh-cert", str(certificate), "--doh-cert-key", str(key), "--history", str(history)]
    with responding.responding(tmp_path / "run", *options, off=("http01", "https01", "tlsalpn01")) as it:
        packet = dns.message.make_query("a.test", "A").to_wire()
        reply = requests.post(
            f"https://127.0.0.1:{it.ports['doh']}/dns-query",
            packet,
            headers={"Content-Type": "application/dns-message"},
            verify=str(certificate),
            timeout=PATIENCE_S,
        )
        assert dns.message.from_wire(reply.content).answer
        it.ask("logged.test", "TXT")
    lines = history.read_text().splitlines()
    assert '"kind":"run.start"' in lines[0] and any("logged.test" in line for line in lines)


@pytest.mark.skipif(not shutil.which("pebble-challtestsrv"), reason="the original is not installed")
def test_the_original_says_the_same(it, tmp_path):
    """The same calls, and what the validators then see, byte for byte where it is about the interface."""
    with socket.socket() as a, socket.socket() as b, socket.socket() as c:
        ports = []
        for spare in (a, b, c):
            spare.bind(("127.0.0.1", 0))
            ports.append(spare.getsockname()[1])
    http_port, dns_port, management = ports
    command = ["pebble-challtestsrv", "-http01", f"127.0.0.1:{http_port}", "-https01", "", "-tlsalpn01", ""]
    command += ["-dns01", f"127.0.0.1:{dns_port}", "-management", f"127.0.0.1:{management}"]
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    theirs = responding.Responders(process, {"http-01": http_port, "dns": dns_port, "management": management})
    try:

        def up():
            try:
                return theirs.post("clear-a", host="x").status_code == 200
            except requests.ConnectionError:
                return False

        responding.until(up, "the original is up")
        for call, body in [
            ("add-a", {"host": "same.test.", "addresses": ["10.0.0.1"]}),
            ("add-aaaa", {"host": "same.test.", "addresses": ["2001:db8::7"]}),
            ("add-a", {"host": "same.test."}),
            ("set-txt", {"host": "_acme-challenge.same.test.", "value": "v1"}),
            ("set-txt", {"host": "_acme-challenge.same.test.", "value": "v2"}),
            ("set-cname", {"host": "alias.same.test.", "target": "same.test."}),
            ("add-caa", {"host": "same.test.", "policies": [{"tag": "issue", "value": "ca.example"}]}),
            ("set-servfail", {"host": "fails.same.test."}),
            ("add-http01", {"token": "same", "content": "same.key"}),
            ("add-http01", {"token": "same"}),
            ("add-redirect", {"path": "/same", "targetURL": "http://b.test/"}),
            ("nothing", {}),
            ("http-request-history", {}),
            ("http-request-history", {"host": "same.test"}),
            ("clear-request-history", {"host": "x", "type": "x"}),
        ]:
            ours, other = it.post(call, **body), theirs.post(call, **body)
            assert (ours.status_code, ours.text) == (other.status_code, other.text), (call, body)
            assert ours.headers.get("Content-Type") == other.headers.get("Content-Type"), (call, body)
        for via in ("udp", "tcp"):
            for host in ("same.test", "alias.same.test", "_acme-challenge.same.test", "fails.same.test", "other.same.test"):
                for kind in ("A", "AAAA", "TXT", "CAA", "CNAME", "MX"):
                    ours, other = it.ask(host, kind, via=via), theirs.ask(host, kind, via=via)
                    assert (ours.rcode(), ours.answer) == (other.rcode(), other.answer), (host, kind)
                    assert [rrset.rdtype for rrset in ours.authority] == [rrset.rdtype for rrset in other.authority]
        for path in ("/.well-known/acme-challenge/same", "/.well-known/acme-challenge/none", "/same", "/"):
            ours, other = it.get(path, host="same.test"), theirs.get(path, host="same.test")
            drop = ("Date", "Connection")  # ours goes on, where the asker wishes
            assert (ours.status_code, ours.text) == (other.status_code, other.text), path
            assert {k: v for k, v in ours.headers.items() if k not in drop} == {
                k: v for k, v in other.headers.items() if k not in drop
            }, path
        ours, other = (x.post("http-request-history", host="same.test").text for x in (it, theirs))
        assert ours == other
    finally:
        process.kill()
        process.wait()
