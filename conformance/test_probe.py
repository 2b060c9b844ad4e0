"""`acmedrill probe`: each temperament that we can play, asked what it does, is recognised; the profile that is written of it plays
the same; and real servers, friendly or not, are measured in the time that was given."""

import contextlib
import json
import re
import shutil
import socket
import threading
import time

import jsonschema
import pytest

import serving
from drilling import AS_EXPECTED, HERE, INVALID, SCENARIOS, TARGET, USAGE, drill, fast_program

PROFILES = sorted(path.stem for path in (SCENARIOS / "profiles").glob("*.json"))
SCHEMA = json.loads((HERE / "profile.schema.json").read_text())
FAST = fast_program()
# A temperament that lets its clients wait for longer than is usual is watched for longer.
LIMITS = {"zerossl": "25m"}
ROWS = 18


def probe(tmp_path, *args, name="seen", **more):
    """What was seen, as JSON; and the run."""
    path = tmp_path / f"{name}.json"
    run = drill("probe", *args, "--json", path, program=FAST, timeout_s=280, **more)
    assert run.returncode == AS_EXPECTED, run.stdout + run.stderr
    return json.loads(path.read_text()), run


@pytest.fixture(scope="module")
def round_trip(tmp_path_factory):
    """Each profile probed, what was seen written as a profile, and that one probed in turn; once."""
    seen = {}

    def travel(profile):
        if profile not in seen:
            tmp_path = tmp_path_factory.mktemp(profile)
            written = tmp_path / "measured.json"
            limit = ["--time-limit", LIMITS.get(profile, "3m")]
            first, run = probe(tmp_path, "--profile", profile, "--write-profile", written, *limit)
            second, _ = probe(tmp_path, "--profile", written, *limit, name="again")
            seen[profile] = first, json.loads(written.read_text()), second, run.stdout
        return seen[profile]

    return travel


# --- the round trip ---


@pytest.mark.parametrize("profile", PROFILES)
def test_each_profile_is_recognised(profile, round_trip):
    seen, _, _, said = round_trip(profile)
    best = seen["resembles"][0]
    assert best["profile"] == profile and best["same"] == best["seen"] > 60 and not best["differs"], best
    assert seen["resembles"][1]["same"] < seen["resembles"][1]["seen"]
    assert f"resembles {profile} most" in said
    assert [row["row"] for row in seen["rows"] if row["not_measured"]] == []
    assert len(seen["rows"]) == ROWS


@pytest.mark.parametrize("profile", PROFILES)
def test_a_written_profile_is_one(profile, round_trip):
    _, written, _, _ = round_trip(profile)
    jsonschema.validate(written, SCHEMA)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_written_profile_plays_the_same(profile, round_trip):
    """All that was seen of the one is seen of the other, and it is still nearest to the same."""
    seen, _, again, _ = round_trip(profile)
    differs = {k: (v, again["features"][k]) for k, v in seen["features"].items() if v is not None and again["features"][k] != v}
    assert not differs
    best = again["resembles"][0]
    assert best["profile"] == profile and best["same"] == best["seen"], best


def resolved(profile):
    """A profile's members with those of its base below them."""
    own = json.loads((SCENARIOS / "profiles" / f"{profile}.json").read_text())
    base = own.get("base", None if profile == "rfc8555" else "rfc8555")
    return ({**resolved(base), **own} if base else own)


# What a probe can see of a CA whatever else it decides, in the words of the profile.
ALWAYS = ["retry", "query_timeout"]


@pytest.mark.parametrize("profile", PROFILES)
def test_the_words_of_the_profile(profile, round_trip):
    """Not only alike: what is written is what the profile says, wherever that can be seen from outside."""
    _, written, _, _ = round_trip(profile)
    truth = resolved(profile)
    words = {key: (written.get(key), truth[key]) for key in ALWAYS}
    assert not {key: pair for key, pair in words.items() if pair[0] != pair[1]}
    if truth["failed_challenge"] != "leaves authz pending":
        assert written["failed_challenge"] == truth["failed_challenge"]
    for key in ("client_retry", "validates_inside_post", "client_retry_every", "query_delay", "probes_per_query", "read_queries", "retry_after_authz",
                "retry_after_order", "order_shows_error", "invalid_authz_shows_only_tried"):
        if key in written:
            assert written[key] == truth.get(key), key
    for failure, outcome in written["outcomes"].items():
        if failure != "any":
            row = {**truth["outcomes"]["any"], **truth["outcomes"].get(failure, {})}
            assert outcome["type"] == row["type"], failure


def test_a_written_profile_can_be_served(tmp_path, round_trip):
    _, written, _, _ = round_trip("step-ca-retry")
    path = tmp_path / "measured.json"
    path.write_text(json.dumps(written))
    with serving.serving(tmp_path, "--profile", path) as server:
        assert "measured" in server.head[0]


def test_the_same_twice(tmp_path):
    """Same seed, same bytes."""
    first, second = (probe(tmp_path, "--profile", "rfc8555", name=name) for name in ("a", "b"))
    assert first[0] == second[0] and first[1].stdout == second[1].stdout


def test_the_table_fits_a_terminal(round_trip):
    for profile in PROFILES:
        said = round_trip(profile)[3]
        assert max(map(len, said.splitlines())) <= 120
        assert "watched for" in said and "taken together" in said


def test_a_short_watch_says_what_it_has_not_seen(tmp_path):
    written = tmp_path / "short.json"
    seen, _ = probe(tmp_path, "--profile", "step-ca-retry", "--time-limit", "30s", "--write-profile", written)
    profile = json.loads(written.read_text())
    assert profile["retry"] == "12s x2" and "gives_up" not in profile
    assert "the end of its retries was not seen" in profile["note"]
    assert seen["resembles"][0]["profile"] == "step-ca-retry"


# --- the form of what is said ---


def test_json(round_trip):
    seen, _, _, _ = round_trip("rfc8555")
    assert {"acmedrill", "target", "simulated", "limit_ms", "rows", "features", "resembles"} == set(seen)
    row = next(r for r in seen["rows"] if r["row"] == "http-01 404")
    assert [q["t"] // 1000 for q in row["queries"][:6]] == [0, 10, 20, 30, 40, 50]
    assert {q["cause"] for q in row["queries"]} == {"response", "server"} and row["own_queries"] == 6
    assert row["challenge"] == row["authz"] == row["order"] == "invalid"
    assert row["error"]["type"] == "incorrectResponse" and "404" in row["error"]["detail"]
    assert row["retry_after"]["challenge_after"]["form"] == "seconds"
    assert [s["status"] for s in row["statuses"] if s["object"] == "challenge"] == ["processing", "invalid"]
    assert row["again"][0]["status"] == 200 and row["another"]["status"] == 400


def test_json_on_standard_output():
    run = drill("probe", "--profile", "same-authz", "--json", "-", program=FAST, timeout_s=120)
    assert json.loads(run.stdout)["resembles"][0]["profile"] == "same-authz"


@pytest.mark.parametrize("args,status", [
    ([], USAGE), (["--profile", "boulder", "https://localhost/dir"], USAGE), (["localhost"], USAGE),
    (["--profile", "boulder", "--time-limit", "soon"], USAGE), (["--profile", "nobody"], INVALID),
    (["--server", "nobody"], TARGET)], ids=["nobody", "two", "no-url", "limit", "profile", "adapter"])
def test_usage(args, status):
    run = drill("probe", *args, program=FAST)
    assert run.returncode == status and run.stderr, run.stderr


# --- real servers ---


@pytest.mark.skipif(not shutil.which("pebble"), reason="pebble is not installed")
def test_pebble(tmp_path):
    began = time.monotonic()
    written = tmp_path / "measured.json"
    seen, run = probe(tmp_path, "--server", "pebble", "--time-limit", "30s", "--write-profile", written)
    assert time.monotonic() - began < 150  # a row ends after 90 s, and they are all played at once
    assert not [row["row"] for row in seen["rows"] if row["not_measured"]], run.stdout
    assert seen["resembles"][0]["profile"] == "pebble", run.stdout
    rows = {row["row"]: row for row in seen["rows"]}
    assert rows["dns-01 right"]["challenge"] == rows["tls-alpn-01 right"]["challenge"] == "valid"
    assert rows["http-01 right"]["queries"][0]["fetches"] == 3
    assert rows["http-01 wrong"]["error"]["type"] == "unauthorized"
    assert rows["http-01 refused"]["error"]["type"] == "connection"
    assert rows["http-01 refused"]["error"]["pattern"] == 'Get "{url}": dial tcp {peer}: connect: connection refused'
    assert rows["tls-alpn-01 no-alpn"]["challenge"] == "invalid"
    profile = json.loads(written.read_text())
    jsonschema.validate(profile, SCHEMA)
    assert profile["retry"] == "none" and profile["failed_challenge"] == "kills authz" and profile["client_retry"] == "refused"


def closed_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def test_nobody_there():
    began = time.monotonic()
    run = drill("probe", f"https://127.0.0.1:{closed_port()}/dir", "--http-port", 0, "--tls-port", 0, "--dns-port", 0, program=FAST)
    assert run.returncode == TARGET and "is it up" in run.stderr and "--trust" in run.stderr
    assert time.monotonic() - began < 45


@contextlib.contextmanager
def hostile(answer):
    """A server on plain HTTP that answers everything with these bytes, or never (None)."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = []

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    conn, _ = listener.accept()
                    taken.append(conn)
                    if answer is not None:
                        conn.recv(65536)
                        conn.sendall(answer)
                        conn.close()

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/dir"
        listener.shutdown(socket.SHUT_RDWR)
        for conn in taken:
            conn.close()


GARBAGE = {
    "hangs": None,
    "bytes": bytes(range(256)) * 40,
    "html": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
    "control-characters": b"HTTP/1.1 404 Gone\r\nContent-Length: 12\r\n\r\n\x1b[2J\x1b]0;x\x07\xff\xfe",
    "empty-directory": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_a_server_that_is_none(kind):
    with hostile(GARBAGE[kind]) as url:
        began = time.monotonic()
        run = drill("probe", url, "--http-port", 0, "--tls-port", 0, "--dns-port", 0, program=FAST)
        assert run.returncode == TARGET and "no order could be had" in run.stderr
        assert time.monotonic() - began < 50
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f]", run.stdout + run.stderr)
