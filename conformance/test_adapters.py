"""The adapters: what they say of themselves, and short rehearsals with the real programs behind them. A program that is not
installed is a skip with its name. Nothing is left running, whatever happens."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest
import serving
from cryptography import x509
from serving import ACMEDRILL, HERE, ROOT, certificates, openssl_verifies, until

ADAPTERS = HERE / "adapters"
CHALLENGES = {"http-01", "dns-01", "tls-alpn-01"}
PROFILES = {path.stem for path in (ROOT / "scenarios" / "profiles").glob("*.json")}


def names(kind):
    return sorted(path.name for path in (ADAPTERS / kind).iterdir() if os.access(path, os.X_OK) and "." not in path.name)


CLIENTS, SERVERS = names("clients"), names("servers")
ALL = [("clients", name) for name in CLIENTS] + [("servers", name) for name in SERVERS]
each_adapter = pytest.mark.parametrize("kind,name", ALL, ids=["/".join(one) for one in ALL])


def describe(kind, name):
    """What it says of itself; skips where its program is not installed."""
    run = subprocess.run([ADAPTERS / kind / name, "--describe"], capture_output=True, text=True, timeout=60)
    if run.returncode == 77:
        assert run.stderr.strip(), "exit status 77 wants a word on stderr"
        pytest.skip(f"{name}: {run.stderr.strip()}")
    assert run.returncode == 0, run
    assert run.stdout.count("\n") == 1 and run.stdout.endswith("\n")
    return json.loads(run.stdout)


# --- what they say ---


@each_adapter
def test_describe(kind, name):
    about = describe(kind, name)
    assert about.pop("name") == name
    assert re.match("[0-9]", about.pop("version"))
    challenges = about.pop("challenges")
    assert challenges and set(challenges) <= CHALLENGES
    if kind == "clients":
        assert set(about.pop("features")) <= {"several-names", "ip-identifiers"}
    else:
        assert about.pop("profile") in PROFILES | {""}
        assert about.pop("http_port") in range(65536)
        assert set(about.pop("needs")) <= {"netns"}
    assert about == {}, "members that README.md does not tell of"


@each_adapter
def test_program_not_installed(kind, name, tmp_path):
    """With a PATH on which there is nothing but the shell's usual company."""
    for program in ("bash", "cat", "dirname", "head", "id", "sed", "sh"):
        (tmp_path / program).symlink_to(f"/usr/bin/{program}")
    environment = {**os.environ, "PATH": str(tmp_path)}
    for arguments in (["--describe"], []):
        run = subprocess.run(
            [ADAPTERS / kind / name, *arguments], capture_output=True, text=True, timeout=60, env=environment
        )
        assert run.returncode == 77, run
        assert name in run.stderr and "not installed" in run.stderr and run.stdout == ""


def adapters_listed(**environment):
    run = subprocess.run(
        [ACMEDRILL, "adapters"], capture_output=True, text=True, timeout=120, cwd=ROOT, env={**os.environ, **environment}
    )
    assert run.returncode == 0 and run.stderr == "", run
    listed, kind = {}, None
    for line in run.stdout.splitlines():
        if line.startswith("  "):
            name, rest = line.split(None, 1)
            listed[kind, name] = rest
        else:
            kind = line.split()[0]
    return listed


def test_adapters_are_listed():
    listed = adapters_listed()
    assert sorted(listed) == sorted(ALL)
    for (kind, name), rest in listed.items():
        run = subprocess.run([ADAPTERS / kind / name, "--describe"], capture_output=True, text=True, timeout=60)
        if run.returncode == 77:
            assert rest.startswith("not usable")
        else:
            about = json.loads(run.stdout)
            assert rest.split()[0] == about["version"]
            assert ("network namespace" in rest) == ("netns" in about.get("needs", []))


def write_adapter(folder, name, text):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


BROKEN = {
    "silent": "#!/bin/sh\nexit 0\n",
    "missing": "#!/bin/sh\necho 'missing: it is not installed' >&2\nexit 77\n",
    "no-json": "#!/bin/sh\necho 'version 3'\n",
    "no-name": "#!/bin/sh\necho '{\"version\": \"1\"}'\n",
    "no-program": "#!/nowhere/at/all\n",
}


def test_broken_adapters_are_listed_as_such(tmp_path):
    for name, text in BROKEN.items():
        write_adapter(tmp_path / "clients", name, text)
    write_adapter(tmp_path / "clients", "good", "#!/bin/sh\necho '{\"name\": \"good\", \"version\": \"3.1\"}'\n")
    listed = adapters_listed(ACMEDRILL_ADAPTERS=str(tmp_path))
    assert set(listed) == {("clients", name) for name in [*BROKEN, "good"]}
    for (_, name), rest in listed.items():
        assert rest.startswith("3.1" if name == "good" else "not usable: "), (name, rest)


def test_the_readme_tells_of_each():
    readme = (ADAPTERS / "README.md").read_text()
    for kind, name in ALL:
        assert f"`{kind}/{name}`" in readme


# --- nothing is left behind ---


def processes_of(folder):
    """Processes that have the folder in their environment, their arguments or under their feet: {pid: arguments}."""
    found, mark = {}, str(folder).encode()
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in (os.getpid(), os.getppid()):
            continue
        try:
            arguments = (entry / "cmdline").read_bytes()
            text = arguments + (entry / "environ").read_bytes() + os.readlink(entry / "cwd").encode()
        except OSError:
            continue  # it has ended, or is somebody else's
        if mark in text:
            found[int(entry.name)] = arguments.replace(b"\0", b" ").decode(errors="replace").strip()
    return found


@pytest.fixture
def folder(tmp_path):
    """A folder for one run, of which no process may remain. One that does is ended, and the test fails."""
    yield tmp_path
    left = {}
    for _ in range(50):  # what was killed needs a moment to be gone
        left = processes_of(tmp_path)
        if not left:
            break
        serving.pause(0.1)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == {}, "left running"


def sleeper(folder):
    """A process like one that was forgotten."""
    return subprocess.Popen(
        [sys.executable, "-c", "import select; select.select([], [], [], 60)"], env={**os.environ, "ACMEDRILL_STATE": str(folder)}
    )


def test_what_is_left_behind_is_found(tmp_path):
    process = sleeper(tmp_path)
    try:
        until(lambda: process.pid in processes_of(tmp_path), "the process is found")
    finally:
        process.kill()
        process.wait()
    assert process.pid not in processes_of(tmp_path)


# --- rehearsals ---


def has_expected(name):
    return (HERE / "expected" / f"{name}.json").exists()


def rehearse(folder, name, *arguments, patience_s=280):
    """Runs it and returns the cases by name. As expected, where it is written down what to expect of this program; anyway, no
    fault of ours."""
    run = subprocess.run(
        [ACMEDRILL, "run", *arguments, "--json", str(folder / "result.json"), "--out", str(folder / "out")],
        capture_output=True,
        text=True,
        timeout=patience_s,
        cwd=ROOT,
    )
    assert "Sanitizer" not in run.stderr and "runtime error" not in run.stderr, run.stderr
    result = json.loads((folder / "result.json").read_text())
    cases = {case["name"]: case for case in result["cases"]}
    assert {case["outcome"] for case in cases.values()} & {"ERROR"} == set(), run.stdout
    if all("ended with 77" in case.get("reason", "") for case in cases.values()):
        log = next((folder / "out").rglob("client.log")).read_text()
        pytest.skip(f"{name} cannot run here: {log.strip().splitlines()[-1]}")
    assert run.returncode in ((0,) if has_expected(name) else (0, 1)), run.stdout + run.stderr
    assert result["target"].startswith(f"{name} ")
    return cases


def played(cases, wanted):
    """All of them were really played: a skip must not look like a pass."""
    assert {name: case["outcome"] for name, case in cases.items() if case["outcome"] == "skip"} == {}
    assert set(cases) == set(wanted)
    for case in cases.values():
        assert case["outcome"] in ("ok", "warn", "expected", "FAIL"), case["outcome"]
        history = pathlib.Path(case["files"]) / "history.jsonl"
        kinds = [json.loads(line)["kind"] for line in history.read_text().splitlines()]
        assert kinds[0] == "run.start" and kinds[-1] == "run.end" and "wire.request" in kinds


PLAIN, RETRY = "order/plain", "http-01/status-404#then-ok"
SCENARIOS = {
    # The whole program is one shell script that starts thousands of processes.
    "dehydrated": [PLAIN, RETRY],
    # Asks for its account before it makes one: the error that it gets for that is one too many in bad-once.
    "uacme": [PLAIN, RETRY, "http-01/wrong-body-then-ok", "order/processing-for-a-while"],
}
USUAL = [PLAIN, RETRY, "nonce/bad-once#finalize", "order/processing-for-a-while"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", CLIENTS)
def test_client(name, folder):
    describe("clients", name)
    scenarios = SCENARIOS.get(name, USUAL)
    cases = rehearse(folder, name, "--client", name, "-j", "4", "--deadline", "3m", *scenarios)
    played(cases, scenarios)
    out = pathlib.Path(cases[PLAIN]["files"])
    chain = certificates((out / "out" / "cert.pem").read_bytes())
    if len(chain) > 1:  # README.md: the chain may follow
        good, said = openssl_verifies(chain, out / "trust.pem", folder)
        assert good, said
    alternatives = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert alternatives.get_values_for_type(x509.DNSName) == ["a.example.test"]
    verdicts = [
        record.get("failure")
        for record in map(json.loads, (pathlib.Path(cases[RETRY]["files"]) / "history.jsonl").read_text().splitlines())
        if record["kind"] == "wire.verdict"
    ]
    assert verdicts == ["bad-status", None]  # the second query met what the client had really put there


def test_a_client_that_cannot(folder):
    """Without a challenge that it can do there is nothing to play: a skip, which is not a run."""
    path = write_adapter(folder, "x", '#!/bin/sh\necho \'{"name": "x", "version": "1", "challenges": ["dns-01"]}\'\n')
    run = subprocess.run(
        [ACMEDRILL, "run", "--client", str(path), PLAIN], capture_output=True, text=True, timeout=60, cwd=ROOT
    )
    assert run.returncode == 4, run
    assert "skip" in run.stdout and "x cannot do any of the challenges" in run.stdout


@pytest.mark.parametrize(
    "status,outcome,said",
    [(0, "ERROR", "left no cert.pem"), (3, "ERROR", "status 3"), (77, "skip", "cannot do this"), (1, "FAIL", "gets certificate")],
)
def test_how_an_adapter_ends(status, outcome, said, folder):
    """The contract of README.md, with an adapter that does nothing but end."""
    text = """#!/bin/sh
[ "$1" = --describe ] && echo '{"name": "x", "version": "1", "challenges": ["http-01"]}' && exit
"""
    path = write_adapter(folder, "x", f"{text}exit {status}\n")
    run = subprocess.run(
        [ACMEDRILL, "run", "--client", str(path), "--json", "-", "--out", str(folder / "out"), PLAIN],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
    )
    assert run.returncode == {"ERROR": 70, "skip": 4, "FAIL": 1}[outcome], run
    case = json.loads(run.stdout)["cases"][0]
    assert case["outcome"] == outcome and said in json.dumps(case), case


def test_what_an_adapter_is_told(folder):
    """Each variable of README.md, and a client's folder that is empty and its own."""
    text = """#!/bin/sh
[ "$1" = --describe ] && echo '{"name": "x", "version": "1", "challenges": ["http-01"]}' && exit
env | grep ^ACMEDRILL_ >"$ACMEDRILL_OUT/env"
ls -A "$ACMEDRILL_STATE" >"$ACMEDRILL_OUT/state"
exit 1
"""
    path = write_adapter(folder, "x", text)
    subprocess.run(
        [ACMEDRILL, "run", "--client", str(path), "--deadline", "17s", "--out", str(folder / "out"), PLAIN],
        capture_output=True,
        timeout=60,
        cwd=ROOT,
    )
    out = folder / "out" / PLAIN / "out"
    told = dict(line.removeprefix("ACMEDRILL_").split("=", 1) for line in (out / "env").read_text().splitlines())
    readme = (ADAPTERS / "README.md").read_text().partition("## A server")[0]
    assert set(told) == {name for name in re.findall("`ACMEDRILL_([A-Z_]+)`", readme)}
    assert told["NAMES"] == "a.example.test" and told["CHALLENGES"] == "http-01" and told["DEADLINE"] == "17"
    assert re.fullmatch("https://localhost:[0-9]+/dir", told["DIRECTORY"])
    assert "BEGIN CERTIFICATE" in pathlib.Path(told["TRUST"]).read_text()
    assert told["HTTP_PORT"].isdigit() and told["TLS_PORT"].isdigit() and told["HTTP_PORT"] != told["TLS_PORT"]
    assert (out / "state").read_text() == "" and told["OUT"] == str(out)


def test_a_client_that_does_not_end(folder):
    """At its deadline it is ended, and what it has started too, though neither wants to."""
    text = """#!/bin/sh
[ "$1" = --describe ] && echo '{"name": "x", "version": "1", "challenges": ["http-01"]}' && exit
trap '' TERM
(trap '' TERM; while :; do sleep 1; done) &
while :; do sleep 1; done
"""
    path = write_adapter(folder, "x", text)
    started = time.monotonic()
    run = subprocess.run(
        [ACMEDRILL, "run", "--client", str(path), "--deadline", "2s", "--json", "-", "--out", str(folder / "out"), PLAIN],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
    )
    assert run.returncode == 1, run
    assert time.monotonic() - started < 30
    assert processes_of(folder) == {}


# --- servers ---


def namespace_refused():
    """Why no network namespace may be made here; empty: it may."""
    for command in (["unshare", "-n", "true"], ["unshare", "--map-root-user", "-n", "true"]):
        run = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if run.returncode == 0:
            return ""
    return run.stderr.strip()


def server_scenarios(name, profile):
    """The happy path, a failure that is final everywhere, and its own temperament."""
    return [PLAIN, "http-01/wrong-body#for-ever", f"temperament/{profile}#wrong-body"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", SERVERS)
def test_server(name, folder):
    about = describe("servers", name)
    if "netns" in about["needs"] and (why := namespace_refused()):
        pytest.skip(f"{name} needs a network namespace of its own, and none may be made here: {why}")
    scenarios = server_scenarios(name, about["profile"])
    cases = rehearse(folder, name, "--server", name, "-j", "3", *scenarios)
    played(cases, scenarios)
    for case in cases.values():
        requests = [
            record
            for record in map(json.loads, (pathlib.Path(case["files"]) / "history.jsonl").read_text().splitlines())
            if record["kind"] == "wire.request" and record["to"] == "responder"
        ]
        assert requests, "the server has really looked"
        assert all("/.well-known/acme-challenge/" in request["url"] for request in requests)


def test_a_server_that_does_not_start(folder):
    text = """#!/bin/sh
about='{"name": "x", "version": "1", "profile": "", "http_port": 0, "needs": [], "challenges": ["http-01"]}'
[ "$1" = --describe ] && echo "$about" && exit
exit 1
"""
    path = write_adapter(folder, "x", text)
    run = subprocess.run(
        [ACMEDRILL, "run", "--server", str(path), "--json", "-", "--out", str(folder / "out"), PLAIN],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
    )
    assert run.returncode in (5, 70), run
    assert "did not say" in json.loads(run.stdout)["cases"][0]["reason"]


# --- stopped in the middle ---


def start(folder, *arguments):
    with open(folder / "said", "wb") as said:
        return subprocess.Popen(
            [ACMEDRILL, "run", "--out", str(folder / "out"), *arguments],
            stdout=said,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            start_new_session=True,
        )


def really_running(folder, name):
    """The program itself is there, not only its adapter."""
    return until(
        lambda: [pid for pid, line in processes_of(folder).items() if re.match(rf"(\S*/)?(python3 /usr/bin/)?{name}\b", line)],
        f"{name} runs",
        60,
    )


def stopped(process, folder, patience_s):
    """It ends within that time, with the status of an interrupted run, and nothing remains."""
    try:
        status = process.wait(patience_s)
    except subprocess.TimeoutExpired:
        status = f"still running {patience_s} s after the signal"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)  # which works
            process.wait(60)
    assert status == 130, status
    until(lambda: not processes_of(folder), "nothing is left", 10)
    said = (folder / "said").read_text()
    assert "Sanitizer" not in said and "runtime error" not in said, said


LONG = {
    ("clients", "lego"): "order/processing-for-ever",
    ("clients", "certbot"): "order/processing-for-ever",
    ("servers", "pebble"): PLAIN,
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind,name", LONG, ids=["/".join(one) for one in LONG])
def test_stopped_at_the_keyboard(kind, name, folder):
    """Ctrl-C goes to all processes of the terminal: the run, its workers; the program's group is for them to end."""
    describe(kind, name)
    process = start(folder, f"--{kind[:-1]}", name, LONG[kind, name])
    really_running(folder, name)
    os.killpg(process.pid, signal.SIGINT)
    stopped(process, folder, 20)


@pytest.mark.timeout(300)
def test_stopped_by_sigterm(folder):
    """As CI systems and timeout(1) do it: to the first process alone."""
    describe("clients", "lego")
    process = start(folder, "--client", "lego", "order/processing-for-ever")
    really_running(folder, "lego")
    process.send_signal(signal.SIGTERM)
    stopped(process, folder, 10)
