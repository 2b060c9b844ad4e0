"""The control API of `acmedrill serve`, by Python's http.client, and what it does to an ACME client."""

import http.client
import json
import threading
import urllib.parse

import pytest

from serving import HERE, Client, csr_der, serving

JSON = {"Content-Type": "application/json"}


class Control:
    def __init__(self, server):
        self.port = urllib.parse.urlsplit(server.control).port

    def call(self, method, path, body=None, headers=JSON, status=200):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        text = body if body is None or isinstance(body, (bytes, str)) else json.dumps(body)
        connection.request(method, path, text, headers if body is not None else {})
        reply = connection.getresponse()
        answer = reply.read()
        connection.close()
        assert reply.status == status, answer
        if reply.headers["Content-Type"] == "application/x-ndjson":
            return [json.loads(line) for line in answer.splitlines()]
        return json.loads(answer)

    def events(self, **conditions):
        return self.call("GET", "/events?" + urllib.parse.urlencode(conditions))


@pytest.fixture
def server(tmp_path):
    with serving(tmp_path, "--control-port", 0, "--always-valid") as running:
        yield running


@pytest.fixture
def control(server):
    return Control(server)


@pytest.fixture
def client(server):
    made = Client(server)
    yield made
    made.close()


def test_off_unless_asked_for(tmp_path):
    with serving(tmp_path) as running:
        assert running.control == ""


def test_list_agrees_with_the_document(control):
    document = json.loads((HERE / "control.openapi.json").read_text())
    told = {(call["method"].lower(), call["path"]) for call in control.call("GET", "/")["calls"]}
    assert told == {(method, path) for path, methods in document["paths"].items() for method in methods}


def test_every_parameter_of_the_document_is_known(control):
    document = json.loads((HERE / "control.openapi.json").read_text())
    values = {"integer": "3", "string": "1s"}
    for parameter in document["paths"]["/events"]["get"]["parameters"]:
        control.events(**{parameter["name"]: values[parameter["schema"]["type"]]})
    assert "nonesuch" in control.call("GET", "/events?nonesuch=1", status=400)["error"]


def test_events_of_an_account_an_order_and_a_name(control, client, server):
    client.register()
    order = client.order("a.example.test")
    other = Client(server)
    other.register()
    other.order("b.example.test")
    other.close()

    def urls(events):
        return [event["url"].removeprefix(server.base) for event in events if event["kind"] == "wire.request"]

    assert urls(control.events(account=1)) == ["/new-account", "/new-order"]
    assert urls(control.events(account=2, kind="wire.request")) == ["/new-account", "/new-order"]
    assert urls(control.events(name="a.example.test")) == ["/new-order"]
    assert urls(control.events(name="c.example.test")) == []
    assert control.events(account=1, name="b.example.test") == []
    order.read()
    assert urls(control.events(order=1)) == ["/new-order", "/order/1"]
    assert urls(control.events(order=order.url)) == ["/new-order", "/order/1"]
    flow = control.events(order=1, kind="wire.response")[0]["flow"]
    assert {event["kind"] for event in control.events(flow=flow)} >= {"wire.request", "wire.response"}


def test_events_after_a_number_and_a_limit(control, client):
    client.register()
    events = control.events()
    assert [event["seq"] for event in events] == sorted(event["seq"] for event in events)
    assert control.events(after=events[3]["seq"]) == events[4:]
    assert control.events(limit=2) == events[:2]
    assert control.events(after=10**9) == []
    control.call("DELETE", "/events")
    assert control.events() == []


def test_the_log_says_nothing_of_its_own_exchanges(control, client):
    client.register()
    before = control.events()
    assert control.events() == before


def test_waiting_for_a_record(control, client):
    client.register()
    last = control.events()[-1]["seq"]
    found = []
    waiter = threading.Thread(
        target=lambda: found.extend(control.events(after=last, wait="25s", kind="wire.request", name="late.example.test"))
    )
    waiter.start()
    client.order("early.example.test")
    client.order("late.example.test")
    waiter.join(30)
    assert [event["url"].rpartition("/")[2] for event in found] == ["new-order"]
    assert control.events(after=10**9, wait="10ms") == []


def test_clock_makes_orders_expire(control, client):
    client.register()
    order = client.order("a.example.test")
    assert control.call("GET", "/clock")["ahead"] == "0s"
    control.call("POST", "/clock", {"advance": "1d"})
    assert order.read()["status"] == "pending"
    assert control.call("POST", "/clock", {"advance": "30d"})["ahead"] == "31d"
    assert order.read()["status"] == "invalid"
    later = control.call("POST", "/clock", {"set": "2099-01-01T00:00:00Z"})
    assert later["now"].startswith("2099-01-01T00:00:0")
    for backwards in ({"set": "2031-01-01T00:00:00Z"}, {"advance": "soon"}, {"set": "x"}, {}, {"advance": "-1h"}):
        assert "forward" in control.call("POST", "/clock", backwards, status=400)["error"]


def test_replies_are_scripted_at_run_time(control, client):
    client.register()
    control.call("POST", "/scenario", {"ca": {"replies": {"new order": [{"status": 503, "retry_after": "7s", "times": 2}]}}})
    names = {"identifiers": [{"type": "dns", "value": "a.example.test"}]}
    for _ in range(2):
        reply = client.post(client.directory["newOrder"], names)
        assert (reply.status, reply.headers["Retry-After"]) == (503, "7")
    client.post(client.directory["newOrder"], names).ok(201)
    control.call("POST", "/scenario", {"ca": {"replies": {"new order": [{"status": 500, "times": "always"}]}}})
    assert client.post(client.directory["newOrder"], names).status == 500
    control.call("DELETE", "/scenario")
    client.post(client.directory["newOrder"], names).ok(201)


def test_a_scenario_by_its_id(control, client):
    client.register()
    control.call("POST", "/scenario", {"scenario": "order/finalize-fails-once#503-retry-after"})
    order = client.order("a.example.test")
    client.post(order.challenge()["url"], {}).ok()
    order.poll("ready")
    assert order.finalize(csr_der(["a.example.test"])).status == 503
    order.finalize(csr_der(["a.example.test"])).ok()
    for word in ("http-01/nonesuch", "/etc/passwd", "../scenarios/order/plain", ""):
        control.call("POST", "/scenario", {"scenario": word}, status=404)
    assert "cases" in control.call("POST", "/scenario", {"scenario": "order/finalize-fails-once"}, status=400)["error"]


def test_another_profile(control, client):
    client.register()
    client.order("a.example.test")
    control.call("POST", "/profile", {"order_lifetime": "1h"})
    client.order("b.example.test")
    control.call("POST", "/clock", {"advance": "2h"})
    statuses = [order["status"] for order in control.call("GET", "/state")["orders"]]
    assert statuses == ["pending", "invalid"]
    assert "boulder" in control.call("POST", "/profile", {"profile": "bolder"}, status=400)["error"]
    assert "1:" in control.call("POST", "/profile", {"order_livetime": "1h"}, status=400)["error"]
    control.call("POST", "/profile", {"profile": "boulder"})


def test_other_terms(control, client):
    client.register()
    client.order("a.example.test")
    control.call("POST", "/terms", {"path": "terms/v2"})
    names = {"identifiers": [{"type": "dns", "value": "a.example.test"}]}
    client.post(client.directory["newOrder"], names).refused(403, "userActionRequired")
    client.post(client.kid, {"termsOfServiceAgreed": True}).ok()
    client.order("a.example.test")
    control.call("POST", "/terms", {"path": "nonesuch"}, status=400)


def test_state_is_shown_and_forgotten(control, client):
    client.register()
    order = client.order("a.example.test", "b.example.test")
    state = control.call("GET", "/state")
    assert [account["account"] for account in state["accounts"]] == [client.kid]
    assert state["orders"][0]["authorizations"] == order.authz_urls
    assert [authz["name"] for authz in state["authorizations"]] == ["a.example.test", "b.example.test"]
    assert set(state["authorizations"][0]["challenges"].values()) == {"pending"}
    control.call("POST", "/clock", {"advance": "1h"})
    control.call("DELETE", "/state")
    assert control.call("GET", "/state") == {"accounts": [], "orders": [], "authorizations": []}
    assert control.call("GET", "/clock")["ahead"] == "0s"
    client.post(order.url).refused(400, "badNonce")
    client.nonces = []
    client.post(order.url).refused(400, "accountDoesNotExist")
    client.register().ok(201)


@pytest.mark.parametrize(
    "body, headers, status",
    [
        (b"{", JSON, 400),
        (b"[]", JSON, 400),
        (b"\x00", JSON, 400),
        (b"[" * 5000, JSON, 400),
        (b'{"advance": "1h", "advance": "2h"}', JSON, 400),
        (b'{"advance": "1h"}', {"Content-Type": "text/plain"}, 415),
        (b'{"advance": "1h"}', {}, 415),
    ],
)
def test_bad_bodies(control, body, headers, status):
    for path in ("/clock", "/profile", "/scenario"):
        assert control.call("POST", path, body, headers, status)["error"]


def test_unknown_calls(control):
    control.call("GET", "/nonesuch", status=404)
    control.call("PUT", "/clock", {}, status=405)
    assert "request:1:" in control.call("POST", "/scenario", {"ca": {"replies": {"new oder": []}}}, status=400)["error"]
