"""`acmedrill serve`: what becomes of a challenge whose target answers this or that, for each temperament; scenarios played to
foreign clients, and the histories of both."""

import json
import re
import signal
import subprocess
import time

import pytest
import serving
from serving import ACMEDRILL, ROOT, URN, Client, csr_der, poll, until

NAME = "a.example.test"
PROFILES = ROOT / "scenarios" / "profiles"
# Which failure of a profile each answer of the target is.
FAILURES = {"404": "bad-status", "502": "bad-status", "wrong-body": "wrong-body", "empty-body": "empty-body"}


@pytest.fixture(scope="module")
def running_target():
    with serving.target_running() as target:
        yield target


@pytest.fixture
def target(running_target):
    running_target.start("ok")
    return running_target


@pytest.fixture(scope="module")
def servers(running_target, tmp_path_factory):
    """One server for each temperament, started when it is first asked for. Their time limits for the target are a third."""
    with serving.contextlib.ExitStack() as stack:
        started = {}

        def server(profile):
            if profile not in started:
                folder = tmp_path_factory.mktemp(profile)
                options = ["--profile", profile, "--speed", 3, "--history", folder / "history.jsonl"]
                started[profile] = stack.enter_context(serving.serving(folder, *options, http_port=running_target.port))
                started[profile].history = folder / "history.jsonl"
            return started[profile]

        yield server
        for one in started.values():
            judged(one.history)


@pytest.fixture
def ordered(servers):
    """An order of a new account with that CA."""
    clients = []

    def order(profile):
        clients.append(Client(servers(profile)))
        clients[-1].register().ok(201)
        return clients[-1].order(NAME)

    yield order
    for client in clients:
        client.close()


def judge(history):
    run = subprocess.run([ACMEDRILL, "judge", str(history)], capture_output=True, text=True, timeout=60, cwd=ROOT)
    return run.returncode, run.stdout + run.stderr


def judged(history):
    """Asserts that the oracle finds nothing wrong with it."""
    status, said = judge(history)
    assert status == 0 and re.search("1 histor(y|ies) judged", said), said
    return said


def records(history):
    return [json.loads(line) for line in history.read_text().splitlines()]


# --- one failed query, by temperament ---

# What peers.md found in the programs themselves: problem type, status of the problem, text.
KEYS_DIFFER = "The key authorization file from the server did not match this challenge"
REJECTED = ("rejectedIdentifier", 400, "The server will not issue certificates for the identifier")
NOT_CONNECTED = ("connection", 400, "The server could not connect to validation target")
OUTCOMES = {
    ("boulder", "404"): ("unauthorized", 403, "{address}: Invalid response from {url}: 404"),
    ("boulder", "502"): ("unauthorized", 403, "{address}: Invalid response from {url}: 502"),
    ("boulder", "wrong-body"): ("unauthorized", 403, KEYS_DIFFER + '. Expected "{expected}" (got "{got}")'),
    ("boulder", "empty-body"): ("unauthorized", 403, KEYS_DIFFER + '. Expected "{expected}" (got "")'),
    ("pebble", "404"): ("unauthorized", 403, "Non-200 status code from HTTP: {url} returned 404"),
    ("pebble", "502"): ("unauthorized", 403, "Non-200 status code from HTTP: {url} returned 502"),
    ("pebble", "wrong-body"): ("unauthorized", 403, KEYS_DIFFER + ' "{expected}" != "{got}"'),
    ("pebble", "empty-body"): ("unauthorized", 403, KEYS_DIFFER + ' "{expected}" != ""'),
    ("step-ca", "404"): NOT_CONNECTED,
    ("step-ca", "502"): NOT_CONNECTED,
    ("step-ca", "wrong-body"): REJECTED,
    ("step-ca", "empty-body"): REJECTED,
}


def row_of(profile, failure):
    """What the profile's file says of that failure."""
    outcomes = json.loads((PROFILES / f"{profile}.json").read_text())["outcomes"]
    return {**outcomes["any"], **outcomes.get(failure, {})}


def text_matches(pattern, text, words):
    """Is it the pattern with the words in place of {these}? The address is an address, or the name that stands for it."""
    want = re.escape(pattern)
    for word, value in words.items():
        want = want.replace(re.escape("{" + word + "}"), re.escape(value))
    want = want.replace(re.escape("{address}"), f"(127[.]0[.]0[.]1|{re.escape(NAME)})")
    return re.fullmatch(want, text) is not None


def check_error(error, want, words):
    kind, status, text = want
    assert error["type"] == URN + kind, error
    assert error.get("status", status) == status, error
    assert text_matches(text, error["detail"], words), error
    assert "identifier" not in error  # section 6.7.1


def check_row(error, row, words):
    assert error["type"] == URN + row["type"] and text_matches(row["detail"], error["detail"], words), (error, row)
    assert error.get("status") == row.get("status", error.get("status")), (error, row)


def other_challenges(authz):
    return [c for c in authz["challenges"] if c["type"] != "http-01"]


@pytest.mark.parametrize("profile,answer", OUTCOMES, ids=["-".join(one) for one in OUTCOMES])
def test_outcome(profile, answer, ordered, target):
    target.start(answer)
    order = ordered(profile)
    url, reply = order.answer(target)
    token = reply.ok().json()["token"]
    row = row_of(profile, FAILURES[answer])
    words = {
        "url": f"http://{NAME}/.well-known/acme-challenge/{token}",
        "expected": target.proofs[token],
        "got": "something else entirely",
        "status": answer,
    }
    if profile == "step-ca":
        challenge = reply.json()  # it validates while the client waits for the answer
    else:
        challenge = poll(order.client, url)
    check_error(challenge["error"], OUTCOMES[profile, answer], words)
    check_row(challenge["error"], row, words)
    assert challenge["status"] == ("invalid" if row["then"] == "final" else "pending")
    authz, document = order.authz(), order.read()
    if profile == "step-ca":
        assert authz["status"] == document["status"] == "pending" and "error" not in document
    else:
        assert authz["status"] == document["status"] == "invalid"
        assert next(c for c in authz["challenges"] if c["type"] == "http-01") == challenge
        if profile == "pebble":
            assert not other_challenges(authz)
            assert document["error"] == challenge["error"]
        else:
            assert "error" not in document
    fetches = 3 if profile == "pebble" else 1
    until(lambda: len(target.fetches) >= fetches, "fetches")
    assert {fetch.path for fetch in target.fetches} == {f"/.well-known/acme-challenge/{token}"}
    finished = order.finalize(csr_der([NAME]))
    finished.refused(403, "orderNotReady")
    target.answers = ["ok"]
    again = order.client.post(url, {})
    if profile != "step-ca":
        again.refused(400, "malformed")
    elif row["then"] == "final":
        assert again.ok().json()["status"] == "invalid"
    else:
        assert again.ok().json()["status"] == "valid"
        assert order.read()["status"] == "ready"
        fetches += 1
    assert len(target.fetches) == fetches


def test_step_ca_validates_when_it_is_read(ordered, target):
    target.start("404", "ok")
    order = ordered("step-ca")
    url, reply = order.answer(target)
    assert reply.ok().json()["status"] == "pending"
    assert "Retry-After" not in reply.headers
    challenge = order.client.post(url).ok().json()
    assert challenge["status"] == "valid" and "error" not in challenge and "validated" in challenge
    assert len(target.fetches) == 2


# --- section 8.2: the server tries again ---


def error_of(client, url):
    """The challenge once it has an error, or is decided."""

    def there():
        reply = client.post(url).ok()
        document = reply.json()
        return (reply, document) if "error" in document or document["status"] != "processing" else None

    return until(there, "an error in the challenge")


def seconds(reply):
    assert re.fullmatch("[0-9]+", reply.headers["Retry-After"]), reply.headers["Retry-After"]
    return int(reply.headers["Retry-After"])


def test_404_then_502_then_right(target, tmp_path):
    """A failed query is no failed challenge: with retries every 12 s, ten times as fast."""
    history = tmp_path / "history.jsonl"
    options = ["--profile", "step-ca-retry", "--speed", 10, "--history", history]
    with serving.serving(tmp_path, *options, http_port=target.port) as server:
        client = Client(server)
        client.register().ok(201)
        target.start("404", "502", "ok")
        order = client.order(NAME)
        url, reply = order.answer(target)
        assert reply.ok().json()["status"] == "processing"
        for n in (1, 2):
            target.wait_for(n)
            reply, challenge = error_of(client, url)
            if len(target.fetches) == n:  # or else this machine was busy for longer than a second
                assert challenge["status"] == "processing"
                check_error(challenge["error"], NOT_CONNECTED, {})
                assert "subproblems" not in challenge["error"] and "validated" not in challenge
                assert 1 <= seconds(reply) <= 3
                assert order.authz()["status"] == "pending" and order.read()["status"] == "pending"
        challenge = poll(client, url)
        assert challenge["status"] == "valid" and "validated" in challenge and "error" not in challenge
        assert "Retry-After" not in client.post(url).headers
        assert order.read()["status"] == "ready"
        assert order.authz()["status"] == "valid"
        order.finalize(csr_der([NAME])).ok()
        order.download()
        client.close()
        gaps = [later.at - earlier.at for earlier, later in zip(target.fetches, target.fetches[1:])]
        assert len(gaps) == 2 and all(1.15 < gap for gap in gaps), gaps
    states = [(r["was"], r["now"]) for r in records(history) if r["kind"] == "state.change" and r["object"] == "challenge"]
    assert states == [("pending", "processing"), ("processing", "valid")]
    verdicts = [r.get("failure") for r in records(history) if r["kind"] == "wire.verdict"]
    assert verdicts == ["bad-status", "bad-status", None]
    judged(history)


def test_a_response_sent_again_is_an_attempt_at_once(target, tmp_path):
    """Section 8.2: the client says that it has mended something, 12 s before the server would have looked by itself."""
    with serving.serving(tmp_path, "--profile", "step-ca-retry", http_port=target.port) as server:
        client = Client(server)
        client.register().ok(201)
        target.start("404", "ok")
        order = client.order(NAME)
        url, _ = order.answer(target)
        reply, challenge = error_of(client, url)
        assert challenge["status"] == "processing" and seconds(reply) >= 12
        for _ in range(5):
            client.post(url).ok()  # reading asks for nothing
        assert len(target.fetches) == 1
        asked_at = time.monotonic()
        reply = client.post(url, {}).ok()
        assert reply.json()["status"] in ("processing", "valid")
        challenge = poll(client, url, patience_s=10)
        assert challenge["status"] == "valid" and "error" not in challenge
        assert len(target.fetches) == 2 and target.fetches[1].at - asked_at < 10
        assert order.poll("ready")
        client.close()


def test_retries_are_limited(target, tmp_path):
    """The default CA takes a response every 5 s; more are refused, which ends nothing. An authorization that is gone is not
    asked for any more."""
    with serving.serving(tmp_path, "--speed", 2, http_port=target.port) as server:
        client = Client(server)
        client.register().ok(201)
        target.start("404")
        order = client.order(NAME)
        url, _ = order.answer(target)
        error_of(client, url)
        reply = client.post(url, {})
        reply.refused(429, "rateLimited")
        assert 1 <= seconds(reply) <= 3
        assert client.post(url).ok().json()["status"] == "processing"
        assert len(target.fetches) == 1

        def accepted():
            reply = client.post(url, {})
            return reply.status == 200 and reply

        assert until(accepted, "another response").json()["status"] == "processing"
        target.wait_for(2)
        assert client.post(order.authz_urls[0], {"status": "deactivated"}).ok().json()["status"] == "deactivated"
        assert order.read()["status"] == "invalid"
        n = len(target.fetches)
        client.post(url, {}).refused(400, "malformed")
        serving.pause(5.5)  # the next query was planned for 5 s after the last one
        assert len(target.fetches) == n
        client.close()


def test_the_default_ca_gives_up_in_the_end(target, tmp_path):
    """Six queries, and an error for each; then all is invalid."""
    history = tmp_path / "history.jsonl"
    with serving.serving(tmp_path, "--speed", 10, "--history", history, http_port=target.port) as server:
        client = Client(server)
        client.register().ok(201)
        target.start("502")
        order = client.order(NAME)
        url, _ = order.answer(target)
        challenge = poll(client, url)
        assert challenge["status"] == "invalid"
        assert challenge["error"]["type"] == URN + "incorrectResponse"
        assert len(challenge["error"]["subproblems"]) == 6
        assert all(sub["identifier"] == {"type": "dns", "value": NAME} for sub in challenge["error"]["subproblems"])
        assert order.authz()["status"] == "invalid"
        document = order.read()
        assert document["status"] == "invalid" and document["error"]["type"] == URN + "incorrectResponse"
        assert client.post(url, {}).status in (200, 400)  # it stays as it is, whatever is said to that
        assert client.post(url).ok().json() == challenge
        assert len(target.fetches) == 6
        client.close()
    judged(history)


def test_wrong_content_is_final_where_the_profile_says_so(target, tmp_path):
    with serving.serving(tmp_path, "--profile", "step-ca-retry", http_port=target.port) as server:
        client = Client(server)
        client.register().ok(201)
        target.start("wrong-body", "ok")
        order = client.order(NAME)
        url, _ = order.answer(target)
        challenge = poll(client, url)
        assert challenge["status"] == "invalid"
        words = {"url": f"http://{NAME}/.well-known/acme-challenge/{challenge['token']}"}
        check_row(challenge["error"], row_of("step-ca-retry", "wrong-body"), words)
        assert order.authz()["status"] == order.read()["status"] == "invalid"
        assert len(target.fetches) == 1
        client.close()


def test_nobody_listens(tmp_path):
    """The port that --http-port names is closed."""
    with serving.serving(tmp_path, "--profile", "boulder") as server:
        client = Client(server)
        client.register().ok(201)
        order = client.order(NAME)
        url = order.challenge()["url"]
        client.post(url, {}).ok()
        challenge = poll(client, url)
        assert challenge["status"] == "invalid"
        url = f"http://{NAME}/.well-known/acme-challenge/{challenge['token']}"
        check_error(challenge["error"], ("connection", 400, "{address}: Fetching {url}: Connection refused"), {"url": url})
        client.close()


def test_always_valid(target, tmp_path):
    with serving.serving(tmp_path, "--always-valid", "--speed", 10, http_port=target.port) as server:
        client = Client(server)
        client.register().ok(201)
        order = client.order(NAME, "*.example.test")
        for i, kind in enumerate(("http-01", "dns-01")):
            authz = order.authz(i)
            kind = "dns-01" if authz.get("wildcard") else kind
            client.post(order.challenge(i, kind)["url"], {}).ok()
        order.poll("ready")
        order.finalize(csr_der([NAME, "*.example.test"])).ok()
        order.download()
        client.close()
    assert target.fetches == []


# --- scenarios ---


def test_a_scenario_plays_its_replies(tmp_path):
    """newOrder is rate-limited for a minute, once; then service is normal."""
    with serving.serving(tmp_path, "--scenario", "order/rate-limited#a-minute", "--speed", 20) as server:
        client = Client(server)
        client.register().ok(201)
        new_order = client.directory["newOrder"]
        payload = {"identifiers": [{"type": "dns", "value": NAME}]}
        reply = client.post(new_order, payload)
        problem = reply.refused(429, "rateLimited")
        assert "scenario" in problem["detail"] and seconds(reply) == 3
        client.post(new_order, payload).ok(201)
        client.post(new_order, payload).ok(201)
        client.close()


def test_a_scenario_answers_for_the_target(target, tmp_path):
    """404, 502, ok: the first two are pretended, the third is what the client's own server says."""
    history = tmp_path / "history.jsonl"
    options = ["--scenario", "http-01/404-502-ok", "--speed", 10, "--history", history]
    with serving.serving(tmp_path, *options, http_port=target.port) as server:
        assert len(serving.foreign_certificate(server, target, [NAME])) == 2
    assert len(target.fetches) == 1
    start = records(history)[0]
    assert start["scenario"] == "http-01/404-502-ok" and start["speed"] == 10
    assert [r.get("failure") for r in records(history) if r["kind"] == "wire.verdict"] == ["bad-status", "bad-status", None]
    assert "http-01/404-502-ok" in judged(history)


def test_a_scenario_of_which_a_foreign_client_is_judged(target, tmp_path):
    """badNonce in place of finalize; python3-acme sends it again, and the oracle says that this is well."""
    history = tmp_path / "history.jsonl"
    options = ["--scenario", "nonce/bad-once#finalize", "--speed", 10, "--history", history]
    with serving.serving(tmp_path, *options, http_port=target.port) as server:
        assert len(serving.foreign_certificate(server, target, [NAME])) == 2
    assert records(history)[0]["variant"] == "finalize"
    judged(history)


def test_a_client_that_polls_too_early_is_found_out(target, tmp_path):
    """The same oracle, and a client that looks at a processing order without waiting."""
    history = tmp_path / "history.jsonl"
    options = ["--scenario", "order/processing-for-a-while", "--speed", 10, "--history", history]
    with serving.serving(tmp_path, *options, http_port=target.port) as server:
        client = Client(server)
        client.register().ok(201)
        order = client.order(NAME)
        order.prove_all(target)
        reply = order.finalize(csr_der([NAME]))
        assert reply.ok().json()["status"] == "processing" and seconds(reply) >= 1
        for _ in range(3):
            order.read()
        order.download()
        client.close()
    said = judged(history)  # a SHOULD: it warns
    assert "warn" in said and "expect[2] never" in said and "too early" in said


# --- histories ---


def test_history(target, tmp_path):
    """Each record is there as soon as it has happened; the file judges well afterwards."""
    history = tmp_path / "history.jsonl"
    with serving.serving(tmp_path, "--profile", "pebble", "--speed", 5, "--history", history, http_port=target.port) as server:
        start = records(history)[0]
        assert start["kind"] == "run.start" and start["seq"] == 1
        assert (start["version"], start["mode"], start["profile"], start["speed"]) == (1, "client", "pebble", 5)
        assert server.head[0].endswith(f"seed {start['seed']}")
        assert abs(start["epoch_ms"] / 1000 - time.time()) < 2 * serving.PATIENCE_S and "scenario" not in start
        serving.foreign_certificate(server, target, [NAME, "b.example.test"])
        while_running = records(history)
        responses = [r for r in while_running if r["kind"] == "wire.response" and r["to"] == "client"]
        assert "BEGIN CERTIFICATE" in responses[-1]["body"]
        assert while_running[-1]["kind"] != "run.end"
    every = records(history)
    assert every[: len(while_running)] == while_running
    assert every[-1]["kind"] == "run.end" and every[-1]["text"] == "stopped"
    assert [r["seq"] for r in every] == list(range(1, len(every) + 1))
    assert all(earlier["t"] <= later["t"] for earlier, later in zip(every, every[1:]))
    kinds = {r["kind"] for r in every}
    assert {"wire.request", "wire.response", "wire.probe", "wire.verdict", "state.change"} <= kinds
    judged(history)


def test_history_of_a_server_that_was_killed(target, tmp_path):
    """What has happened is not lost; a last line that was cut short is left out."""
    history = tmp_path / "history.jsonl"
    with pytest.raises(AssertionError, match="ended by itself"):
        with serving.serving(tmp_path, "--history", history, http_port=target.port) as server:
            client = Client(server)
            client.register().ok(201)
            client.order(NAME)
            client.close()
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
    judged(history)
    whole = history.read_text()
    history.write_text(whole[:-20])
    assert "cut short" in judged(history)


def test_a_client_that_repeats_a_nonce_is_found_out(tmp_path):
    history = tmp_path / "history.jsonl"
    with serving.serving(tmp_path, "--history", history) as server:
        client = Client(server)
        client.register().ok(201)
        nonce = client.nonce()
        client.post(client.kid, nonce=nonce).ok()
        client.post(client.kid, nonce=nonce).refused(400, "badNonce")
        client.close()
    status, said = judge(history)
    assert status == 1 and "nonce-reuse" in said, said
