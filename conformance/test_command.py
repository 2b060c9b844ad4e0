"""The command line, as `--help`, the README and sim/command.h promise it: words, exit statuses, what is written and shown."""

import itertools
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess

import jsonschema
import pytest

from drilling import (ACMEDRILL, AS_EXPECTED, DEFECTS, FAILED, HARNESS, HERE, INTERRUPTED, INVALID, NOTHING, OUTCOMES, PATIENCE_S,
                      ROOT, SCENARIOS, TARGET, USAGE, all_cases, assert_sane, drill, environment, junit_counts, results,
                      scenario_files)

COMMANDS = ("run", "list", "show", "lint", "judge", "serve", "adapters")
PLAIN = "http-01/404-502-ok"
LAZY = DEFECTS / "client-does-nothing.json"
ESCAPE = "\x1b"

NUMBER, TEXT = {"type": "integer", "minimum": 0}, {"type": "string"}
FINDING = {
    "type": "object",
    "additionalProperties": False,
    "required": ["result", "name", "level", "party", "seq", "t_ms"],
    "properties": {key: TEXT for key in ("clause", "claim", "why", "expected", "observed", "hint", "file", "source")}
    | {key: NUMBER for key in ("seq", "t_ms", "line", "column")}
    | {
        "result": {"enum": ["pass", "lenient", "vacuous", "FAIL", "ERROR"]},
        "name": {"type": "string", "pattern": "^(expect\\[[0-9]+\\] [a-z_]+|rule [a-z-]+)$"},
        "level": {"enum": ["MUST", "SHOULD", "MAY", "scenario"]},
        "party": {"enum": ["ca", "client"]},
    },
}
REPORT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["acmedrill", "mode", "target", "seed", "speed", "real_ms", "totals", "cases"],
    "properties": {
        "acmedrill": {"type": "string", "pattern": "^[0-9]+\\.[0-9]+\\.[0-9]+$"},
        "mode": {"enum": ["simulate", "client", "server"]},
        "target": TEXT,
        "profile": TEXT,
        "seed": NUMBER,
        "speed": {"type": "integer", "minimum": 1},
        "real_ms": NUMBER,
        "totals": {
            "type": "object",
            "additionalProperties": False,
            "required": list(OUTCOMES),
            "properties": {o: NUMBER for o in OUTCOMES},
        },
        "cases": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "id", "path", "title", "outcome", "protocol_ms", "real_ms", "passed", "findings"],
                "properties": {key: TEXT for key in ("name", "id", "variant", "path", "title", "reason", "again", "files")}
                | {key: NUMBER for key in ("protocol_ms", "real_ms", "passed", "no_target")}
                | {key: {"type": "array", "items": TEXT} for key in ("clauses", "excerpts", "observations")}
                | {"outcome": {"enum": list(OUTCOMES)}, "findings": {"type": "array", "items": FINDING}},
            },
        },
    },
}
REPORT_CHECK = jsonschema.Draft202012Validator(REPORT)


def names(report):
    return [case["name"] for case in report["cases"]]


@pytest.fixture
def own(tmp_path):
    """Scenarios of our own, in a folder: write(NAME, MEMBERS...) returns the file."""

    def write(name, **members):
        path = tmp_path / "scenarios" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"acmedrill": 1, "title": f"the title of {name}"} | members))
        return path

    write.folder = tmp_path / "scenarios"
    return write


GOOD = [{"eventually": "client gets certificate", "within": "60s"}]
BAD = [{"eventually": "client gives up", "within": "60s"}]
VACUOUS = [{"never": "client polls order", "while": "order is processing"}]
LENIENT = [{"any_of": {"strict": BAD, "lenient": GOOD}}]


# --- help, version, and words that are nearly right ---


@pytest.mark.parametrize("word", ["help", "--help", "-h"])
def test_help(word):
    run = drill(word)
    assert run.returncode == AS_EXPECTED and run.stderr == ""
    assert all(f"\n  {command} " in run.stdout for command in COMMANDS)
    assert max(map(len, run.stdout.splitlines())) <= 120


def test_no_command_is_usage():
    run = drill()
    assert run.returncode == USAGE and run.stdout == "" and run.stderr == drill("help").stdout


@pytest.mark.parametrize("word", ["version", "--version"])
def test_version(word):
    version = re.search(r"project\(acmedrill VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text())[1]
    assert drill(word).stdout == f"acmedrill {version}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(command):
    run = drill(command, "--help")
    assert run.returncode == AS_EXPECTED and run.stderr == ""
    assert run.stdout.startswith(f"Usage: acmedrill {command}")


@pytest.mark.parametrize("typo, meant", [("rnu", "run"), ("lits", "list"), ("shwo", "show"), ("lnit", "lint"), ("jugde", "judge"),
                                         ("server", "serve"), ("adapter", "adapters")])
def test_did_you_mean(typo, meant):
    run = drill(typo)
    assert run.returncode == USAGE and run.stdout == ""
    assert run.stderr == f'acmedrill: unknown command "{typo}" - did you mean "{meant}"?\n'


def test_no_idea_what_you_mean():
    run = drill("xyzzy")
    assert run.returncode == USAGE and run.stderr == 'acmedrill: unknown command "xyzzy"\n'


@pytest.mark.parametrize("args", [
    ["run", "--no-such-option"], ["run", "--json"], ["run", "-j", "0"], ["run", "-j", "65"], ["run", "-j", "x"],
    ["run", "--seed", "-1"],
    ["run", "--seed", "99999999999999999999"], ["run", "--speed", "0"], ["run", "--repeat", "0"], ["run", "--color", "sometimes"],
    ["run", "--deadline", "soon"], ["run", "--client", "a", "--server", "b"], ["run", "--symbolic", "--client", "a"],
    ["run", *itertools.chain(*[("--tag", "x")] * 17)], ["list", "profile"], ["list", "xyzzy"], ["list", "rules", "faults"],
    ["show"],
    ["judge"], ["lint", "--fix"], ["show", "--all"], ["adapters", "lego"], ["serve", "--port", "https"],
    ["serve", "--profile", "boulder", "--scenario", PLAIN],
], ids=lambda args: " ".join(args)[:40])
def test_usage(args):
    run = drill(*args)
    assert run.returncode == USAGE and run.stdout == ""
    assert run.stderr.startswith(f"acmedrill {args[0]}: ")


# --- exit statuses ---


def test_as_expected():
    run = drill("run", PLAIN)
    assert run.returncode == AS_EXPECTED and run.stderr == ""
    head, folder, totals = run.stdout.splitlines()
    assert re.fullmatch(r"acmedrill [0-9.]+ - simulate, virtual time - seed 8555 - 1 job", head)
    assert re.fullmatch(r"  http-01 +1 ok", folder)
    assert re.fullmatch(r"1 scenario: 1 passed - .* of protocol time in [0-9.]+ s", totals)


def test_warnings_are_allowed_unless_strict(own):
    own("a/vacuous", expect=VACUOUS + GOOD)
    own("a/lenient", expect=LENIENT)
    assert [c["outcome"] for c in results(own.folder, status=AS_EXPECTED)["cases"]] == ["warn", "warn"]
    assert [c["outcome"] for c in results("--strict", own.folder, status=FAILED)["cases"]] == ["warn", "FAIL"]


def test_failed():
    run = drill("run", "--defect", LAZY, PLAIN)
    assert run.returncode == FAILED and run.stderr == ""
    for part in (f"FAIL {PLAIN}", f"scenarios/{PLAIN}.json:", "expected  ", "observed  ", "  again     acmedrill run --defect "):
        assert part in run.stdout


def test_again_repeats_it(own):
    """The command that a failure ends in comes to the same result."""
    own("a/vacuous", expect=VACUOUS + GOOD)
    own("a/b", expect=BAD, variants={"one": {}, "two": {"title": "other"}})
    vacuous = ["--strict", "--symbolic", "--seed", "7", own.folder / "a/vacuous.json"]
    for args in (vacuous, ["--defect", LAZY, PLAIN], [own.folder / "a"]):
        for case in results("--seed", "12", *args)["cases"]:
            if case["outcome"] != "FAIL":
                continue
            acmedrill, word, *rest = case["again"].split()
            repeated, = results(*rest, status=FAILED)["cases"]
            assert acmedrill == "acmedrill" and word == "run"
            assert all(repeated[key] == case[key] for key in ("name", "outcome", "findings"))


@pytest.mark.parametrize("args", [
    ["run", "{bad}"], ["show", "{bad}"], ["lint", "{bad}"], ["judge", "{bad}"], ["serve", "--scenario", "{bad}"],
    ["run", "--defect", "{bad}", PLAIN], ["run", "--expected", "{bad}", PLAIN], ["run", "--defect", "/nonexistent.json", PLAIN],
    ["run", "--expected", "/nonexistent.json", PLAIN], ["judge", "/nonexistent"], ["serve", "--profile", "xyzzy"],
    ["run", "--server", "https://127.0.0.1:9/dir", "--profile", "/nonexistent/ca.json", PLAIN],
], ids=lambda args: " ".join(args))
def test_invalid(args, tmp_path):
    bad = tmp_path / "bad.json"
    bad.write_text('{ "acmedrill": 1,\n  "titel": 3 }\n')
    run = drill(*(a.format(bad=bad) for a in args))
    assert run.returncode == INVALID
    named = f"{bad}:" if "{bad}" in args else "xyzzy: unknown profile" if "xyzzy" in args else "/nonexistent"
    assert run.stderr.startswith(named)


@pytest.mark.parametrize("args", [
    ["run", "xyzzy"], ["run", f"{PLAIN}#xyzzy"], ["run", "--tag", "xyzzy"], ["run", "--clause", "rfc9999"], ["run", "--not", "*"],
    ["show", "xyzzy"], ["lint", "xyzzy"], ["serve", "--scenario", "xyzzy"], ["judge", "{empty}"], ["run", "{empty}"],
    ["run", "--server", "https://127.0.0.1:1/dir", "order/bad-csr"],
], ids=lambda args: " ".join(args))
def test_nothing(args, tmp_path):
    """A word that is wrong, filters that leave nothing, cases that all are skipped: no green without a test."""
    run = drill(*(a.format(empty=tmp_path) for a in args))
    assert run.returncode == NOTHING
    assert run.stderr or "skip" in run.stdout or "0 histories" in run.stdout


def adapter(folder, kind, name, script):
    path = folder / kind / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)
    return environment(ACMEDRILL_ADAPTERS=folder)


DESCRIBES = """[ "$1" != --describe ] || { echo '{"name":"t","version":"1","challenges":["http-01"],"profile":""}'; exit 0; }\n"""


@pytest.mark.parametrize("kind, script", [
    ("client", "exit 77\n"), ("client", "echo hello\n"), ("client", "echo '{}'\n"), ("client", "kill -9 $$\n"),
    ("server", DESCRIBES + "exit 1\n"), ("server", DESCRIBES + "echo hello\n"), ("server", DESCRIBES + "echo '[]'\n"),
], ids=lambda text: text.removeprefix(DESCRIBES).strip())
def test_target(tmp_path, kind, script):
    run = drill("run", f"--{kind}", "t", PLAIN, env=adapter(tmp_path, f"{kind}s", "t", script))
    assert run.returncode == TARGET
    assert str(tmp_path / f"{kind}s" / "t") in run.stderr + run.stdout


def test_no_such_target():
    run = drill("run", "--client", "xyzzy")
    assert run.returncode == TARGET and 'no adapter "xyzzy"' in run.stderr


@pytest.mark.parametrize("args", [
    ["--json", "{no}/x"], ["--junit", "{no}/x"], ["--write-expected", "{no}/x"], ["--json", "/dev/full"], ["--out", "/proc/x"],
    ["--out", "{file}"], ["--out", "{file}/below"], ["--out", "/" + "x/" * 3000],
], ids=lambda args: " ".join(args)[:40])
def test_cannot_write(args, tmp_path):
    """It says so in one line, and the status does not pretend that all is well."""
    (tmp_path / "file").write_text("")
    run = drill("run", "-q", *(a.format(no=tmp_path / "no", file=tmp_path / "file") for a in args), PLAIN, "order/plain")
    assert run.returncode == HARNESS
    assert len(run.stderr.splitlines()) == 1 and run.stderr.startswith("acmedrill: cannot ")


def test_full_standard_output():
    with open("/dev/full", "w") as full:
        run = subprocess.run([ACMEDRILL, "list"], cwd=ROOT, env=environment(), stdout=full, stderr=subprocess.PIPE,
                             timeout=PATIENCE_S)
    assert run.returncode == HARNESS and b"cannot write to standard output" in run.stderr


# --- list, show, lint, adapters ---


def listed(what):
    return [line.split()[0] for line in drill("list", what).stdout.splitlines()]


def source(path):
    return (ROOT / "sim" / path).read_text()


@pytest.mark.parametrize("what, known", [
    ("scenarios", lambda: [name for name, _, _ in all_cases()]),
    ("profiles", lambda: [p.stem for p in (SCENARIOS / "profiles").glob("*.json")]),
    ("clauses", lambda: [c["id"] for c in json.loads((HERE / "clauses.json").read_text())]),
    ("rules", lambda: [p.name.split(".")[0] for p in (ROOT / "fixtures" / "logs").glob("*.good.jsonl")]),
    ("faults", lambda: re.findall(r'^ +X\("([a-z-]+)",', source("wire/fault.c"), re.M)),
    ("habits", lambda: re.findall(r'HABIT\("([a-z0-9-]+)"', source("plan/scenario_client.c")) + ["poll-every", "poll-limit"]),
])
def test_list(what, known):
    words = listed(what)
    assert len(words) == len(set(words)) > 0
    assert set(words) == set(known())


def test_list_is_of_scenarios():
    assert drill("list").stdout == drill("list", "scenarios").stdout


def test_list_tells_the_ways():
    """What a case can be used for is said beside it, and is true of more than one way."""
    ways = {line.split()[0]: line[44:75].split() for line in drill("list").stdout.splitlines()}
    assert all("simulate" in way for way in ways.values())
    assert "server" in ways["order/plain"] and "client" in ways["order/plain"] and "server" not in ways["order/bad-csr"]


def test_every_event_is_understood(own):
    """Each phrase of `list events` is taken where it belongs; with a letter changed it is not, and the right one is suggested."""
    phrases = drill("list", "events").stdout.splitlines()
    given = {"challenges": ["http-01", "dns-01", "tls-alpn-01", "dns-account-01"]}
    for i, phrase in enumerate(phrases):
        state = re.fullmatch(r"\S+ is \S+", phrase)
        own(f"good/{i:03}", given=given, expect=[{"never": "client gives up", "while": phrase}] if state else [{"never": phrase}])
        slip = phrase[:-2] + phrase[-1] + phrase[-2]
        if slip != phrase:
            own(f"bad/{i:03}", given=given, expect=[{"never": "client gives up", "while": slip}] if state else [{"never": slip}])
    run = drill("lint", own.folder / "good")
    assert run.returncode == AS_EXPECTED, run.stderr
    assert len(phrases) > 100
    for group in range(0, 10):  # a hundred complaints are shown at most
        files = sorted((own.folder / "bad").glob(f"*{group}.json"))
        run = drill("lint", *files)
        complaints = run.stderr.splitlines()
        assert run.returncode == INVALID and len(complaints) == len(files)
        for path, complaint in zip(files, complaints):
            assert complaint.startswith(f"{path}:1:") and f'did you mean "{phrases[int(path.stem)]}"?' in complaint


@pytest.mark.parametrize("area", sorted({p.parent.name for p in scenario_files()}))
def test_show(area):
    """Every case, by its name: its title, who does what, what is expected; nothing runs."""
    cases = [case for case in all_cases() if case[0].startswith(f"{area}/")]
    run = drill("show", *(name for name, _, _ in cases))
    assert run.returncode == AS_EXPECTED and run.stderr == "" and not re.search(r"\bFAIL\b", run.stdout)
    pages = re.split(rf"^(?={area}/)", run.stdout, flags=re.M)[1:]
    assert len(pages) == len(cases)
    for (name, shared, overlay), page in zip(cases, pages):
        words = re.sub(r"\s+", " ", page)
        assert words.startswith(name + " ") and overlay.get("title", shared["title"]) in words
        for part in (" given ", " client ", " | ", " expect"):
            assert part in words, page


def test_lint_of_all():
    run = drill("lint")
    n = len(all_cases()) + len(list((SCENARIOS / "profiles").glob("*.json")))
    assert run.returncode == AS_EXPECTED and run.stderr == ""
    assert run.stdout == f"{n} cases and profiles, nothing to complain about\n"


def test_lint_goes_on_after_a_bad_file(own):
    good, bad, worse = own("a/good", expect=GOOD), own("a/bad", expect=[{"nevr": "x"}]), own("b/worse", titel="")
    run = drill("lint", good, bad, own.folder / "b", "order/plain")
    lines = run.stderr.splitlines()
    assert run.returncode == INVALID and run.stdout == ""
    assert any(line.startswith(f"{bad}:1:") and "never" in line for line in lines)
    assert any(line.startswith(f"{worse}:1:") for line in lines)
    assert not any(str(good) in line for line in lines)


# --- which scenarios ---


@pytest.fixture
def zoo(own):
    own("a/one", tags=["red"], clauses=["rfc8555#7.4-processing"], expect=GOOD)
    own("a/two", tags=["blue"], clauses=["rfc8555#8.2-server-retries", "rfc8555#7.4-processing"], expect=GOOD)
    own("b/three", tags=["red", "blue"], clauses=["rfc8555#8.2-retry-spacing"], expect=GOOD,
        variants={"x": {}, "y": {"expect": BAD}})
    return own.folder


@pytest.mark.parametrize("args, chosen", [
    ([], "a/one a/two b/three#x b/three#y"),
    (["--tag", "red"], "a/one b/three#x b/three#y"),
    (["--tag", "red", "--tag", "blue"], "a/one a/two b/three#x b/three#y"),
    (["--clause", "rfc8555#8.2-retry-spacing"], "b/three#x b/three#y"),
    (["--clause", "rfc8555#8.2"], "a/two b/three#x b/three#y"),
    (["--clause", "rfc8555#7", "--tag", "blue"], "a/two"),
    (["--not", "a/*"], "b/three#x b/three#y"),
    (["--not", "*#y", "--not", "a/one"], "a/two b/three#x"),
    (["--tag", "blue", "--not", "b/*"], "a/two"),
])
def test_filters(zoo, args, chosen):
    assert names(results(*args, zoo)) == chosen.split()


def test_one_variant_and_several_words(zoo):
    assert names(results(f"{zoo}/b/three.json#x", status=AS_EXPECTED)) == ["b/three#x"]
    assert names(results(f"{zoo}/b/three.json", f"{zoo}/a/one.json")) == ["b/three#x", "b/three#y", "a/one"]
    for word in ("order/plain", "scenarios/order/plain.json", "./scenarios/order/plain.json"):
        assert names(results(word, status=AS_EXPECTED)) == ["order/plain"]


# --- how ---


def test_repeat(tmp_path):
    report = results("--repeat", "3", "--seed", "5", "--out", tmp_path, PLAIN, "order/plain", status=AS_EXPECTED)
    assert names(report) == [PLAIN, "order/plain"] * 3 and report["totals"]["ok"] == 6
    last = json.loads((tmp_path / PLAIN / "history.jsonl").read_text().splitlines()[0])
    assert last["seed"] == 7  # the third is played with the next but one


def test_repeat_keeps_failures():
    report = results("--repeat", "2", "--defect", LAZY, PLAIN, status=FAILED)
    assert [c["findings"] for c in report["cases"]] == [report["cases"][0]["findings"]] * 2


def test_fail_fast(zoo):
    report = results("--fail-fast", f"{zoo}/b", f"{zoo}/a", status=FAILED)
    assert names(report) == ["b/three#x", "b/three#y"]
    assert names(results("--fail-fast", "--repeat", "3", f"{zoo}/b", status=FAILED)) == ["b/three#x", "b/three#y"]


def test_jobs_keep_the_order(zoo):
    one, four = results(zoo), results("-j", "4", zoo)
    strip = lambda report: [{k: v for k, v in c.items() if k != "real_ms"} for c in report["cases"]]
    assert strip(one) == strip(four)


def test_all_findings():
    case, = results("--all-findings", PLAIN)["cases"]
    assert case["passed"] == len(case["findings"]) > 5
    assert results(PLAIN)["cases"][0]["findings"] == []


def test_symbolic_is_not_real(tmp_path):
    for flags, name in ([], "real"), (["--symbolic"], "symbolic"):
        results(*flags, "--out", tmp_path / name, PLAIN, status=AS_EXPECTED)
    real, symbolic = ((tmp_path / name / PLAIN / "history.jsonl").read_text() for name in ("real", "symbolic"))
    assert real != symbolic and len(real.splitlines()) == len(symbolic.splitlines())


# --- what is kept ---


@pytest.fixture(params=["good", "bad"])
def mixed(request, own):
    """Arguments whose results have every outcome that simulation knows."""
    own("a/ok", expect=GOOD)
    own("a/warn", expect=LENIENT)
    own("b/vacuous", expect=VACUOUS + GOOD)
    if request.param == "good":
        return [own.folder]
    own("b/fail", expect=BAD, clauses=["rfc8555#7.4-processing"])
    own("b/known", expect=BAD, title="<&\">'")
    own("c/stale", expect=GOOD)
    expected = own.folder.parent / "expected.json"
    expected.write_text(json.dumps([{"scenario": name, "expect": "*", "reason": "<known>"} for name in ("b/known", "c/stale")]))
    return ["--expected", expected, own.folder]


def test_json(mixed, tmp_path):
    path = tmp_path / "report.json"
    run = drill("run", "--json", path, *mixed)
    report = json.loads(path.read_text())
    assert REPORT_CHECK.is_valid(report), list(REPORT_CHECK.iter_errors(report))
    outcomes = [c["outcome"] for c in report["cases"]]
    assert report["totals"] == {o: outcomes.count(o) for o in OUTCOMES}
    assert run.returncode == (FAILED if "FAIL" in outcomes else AS_EXPECTED)
    # "-": to standard output, and nothing else
    silent = drill("run", "--json", "-", *mixed)
    strip = lambda text: re.sub(r'"real_ms":[0-9]+', "", text)
    assert silent.returncode == run.returncode and strip(silent.stdout) == strip(path.read_text()) and silent.stderr == ""


def test_junit(mixed, tmp_path):
    path = tmp_path / "junit.xml"
    report = results("--junit", path, *mixed)
    root, told, seen = junit_counts(path)
    totals = report["totals"]
    assert told == seen
    assert told == {"tests": len(report["cases"]), "failures": totals["FAIL"] + totals["STALE"], "errors": totals["ERROR"],
                    "skipped": totals["skip"] + totals["expected"]}
    assert root.tag == "testsuites" and {s.get("name") for s in root} == {c["id"].split("/")[0] for c in report["cases"]}
    for count in told:
        assert sum(int(suite.get(count)) for suite in root) == told[count]
    assert sorted(c.get("name") for c in root.iter("testcase")) == sorted(names(report))
    assert [p.get("value") for p in root.findall("testsuite[1]/properties/property[@name='seed']")] == ["8555"]
    for failure in root.iter("failure"):
        assert failure.get("message") and failure.text.strip()


def test_out(tmp_path):
    report = results("--out", tmp_path / "new/folder", PLAIN, "order/keys", status=AS_EXPECTED)
    for case in report["cases"]:
        assert case["files"] == str(tmp_path / "new/folder" / case["name"])
        history = [json.loads(line) for line in open(f"{case['files']}/history.jsonl")]
        assert history[0]["kind"] == "run.start" and history[-1]["kind"] == "run.end"
        assert [e["seq"] for e in history] == sorted({e["seq"] for e in history})


# --- judging again ---


def told_outcomes(text):
    """The lines "  ok  NAME ..." of a report."""
    found = re.findall(r"^  (ok|warn|FAIL|skip|ERROR) +(\S+)", text, re.M)
    return {name: outcome for outcome, name in found if not name.startswith(("expect[", "rule"))}


def without_network(command):
    """In a network namespace that has nothing, where that is allowed."""
    alone = ["unshare", "--user", "--map-root-user", "--net"]
    allowed = subprocess.run([*alone, "true"], capture_output=True).returncode == 0
    return alone + command if allowed else command


@pytest.mark.parametrize("args", [
    [], ["--defect", DEFECTS / "client-fears-errors.json"], ["--symbolic", "--defect", DEFECTS / "ca-hides-errors.json"],
], ids=["polite", "fearful", "secretive"])
def test_judge_comes_to_the_same(args, tmp_path):
    report = results("--out", tmp_path, *args, "order", "retry-after")
    command = without_network([ACMEDRILL, "judge", str(tmp_path)])
    run = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=PATIENCE_S,
                         stdin=subprocess.DEVNULL)
    assert_sane(run.returncode, run.stderr)
    assert told_outcomes(run.stdout) == {c["name"]: c["outcome"] for c in report["cases"]}
    assert run.stderr == "" and run.stdout.endswith(f"\n{len(report['cases'])} histories judged\n")
    assert run.returncode == (FAILED if report["totals"]["FAIL"] else AS_EXPECTED)


def test_judge_a_cut_history(tmp_path):
    """A run that died while it wrote its last line can still be judged, and the line is mentioned."""
    results("--out", tmp_path, PLAIN, status=AS_EXPECTED)
    path = tmp_path / PLAIN / "history.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]) + lines[-1][:-9])
    run = drill("judge", tmp_path)
    assert run.stderr == f"{path}: the last line is cut short and was left out\n"
    assert run.returncode == AS_EXPECTED and told_outcomes(run.stdout) == {PLAIN: "ok"}
    path.write_bytes(b"".join(lines[: len(lines) // 2]) + lines[len(lines) // 2][:9])
    assert drill("judge", path).returncode == FAILED


def test_judge_without_the_scenario(tmp_path, own):
    """The rules can be judged of any history."""
    results("--out", tmp_path / "out", own("a/b", expect=GOOD), status=AS_EXPECTED)
    run = drill("judge", tmp_path / "out")
    assert run.returncode == AS_EXPECTED and "its scenario is not here" in run.stderr


def test_judge_fixtures():
    """Each log that breaks a rule is found out by it, and fails where the rule is more than advice; none of the good ones is."""
    paths = sorted((ROOT / "fixtures" / "logs").glob("*.jsonl"))
    run = drill("judge", *paths)
    assert run.returncode == FAILED and len(paths) >= 20
    pages = re.split(r"^  (?=(?:ok|warn|FAIL) +/)", run.stdout, flags=re.M)[1:]
    assert len(pages) == len(paths)
    for path, page in zip(paths, pages):
        rule, quality, _ = path.name.split(".")
        outcome = "ok" if quality == "good" else "warn" if rule == "bad-nonce-retried" else "FAIL"
        assert page.startswith(f"{outcome} ") and str(path) in page.split("\n")[0]
        assert (f"rule {rule}" in page) == (quality == "bad")


# --- expected failures ---


@pytest.fixture
def expecting(tmp_path, own):
    """expecting(ENTRIES...) runs failing cases and a good one with such a file; returns the outcomes by name, and the run."""
    own("a/bad", expect=BAD, variants={"x": {}, "y": {}})
    own("a/good", expect=GOOD)

    def play(*entries, more=()):
        path = tmp_path / "expected.json"
        path.write_text(json.dumps(entries, indent=1))
        run = drill("run", "--expected", path, "--json", tmp_path / "report.json", *more, own.folder)
        report = json.loads((tmp_path / "report.json").read_text())
        return {c["name"]: c["outcome"] for c in report["cases"]}, run

    return play


EXPECTED_SCHEMA = json.loads((HERE / "expected.schema.json").read_text())


def entry(scenario, expect="*", **more):
    return {"scenario": scenario, "expect": expect, "reason": "we know"} | more


def test_expected(expecting):
    for entries in ([entry("a/bad")], [entry("a/bad#x"), entry("a/bad#y")], [entry("a/bad", "expect[0] eventually")],
                    [entry("a/bad", version="*")]):
        jsonschema.validate(entries, EXPECTED_SCHEMA)
        outcomes, run = expecting(*entries)
        assert outcomes == {"a/bad#x": "expected", "a/bad#y": "expected", "a/good": "ok"} and run.returncode == AS_EXPECTED
    assert "we know" in expecting(entry("a/bad"), more=["-v"])[1].stdout


def test_not_expected(expecting):
    for entries in ([], [entry("a/bad#x")], [entry("a/bad", "expect[1] never")], [entry("a/bad", version="2.*")],
                    [entry("a/other")]):
        jsonschema.validate(entries, EXPECTED_SCHEMA)
        outcomes, run = expecting(*entries)
        assert outcomes["a/bad#y"] == "FAIL" and run.returncode == FAILED


def test_stale(expecting):
    outcomes, run = expecting(entry("a/bad"), entry("a/good", "expect[0] eventually"))
    assert outcomes == {"a/bad#x": "expected", "a/bad#y": "expected", "a/good": "STALE"} and run.returncode == FAILED
    assert "we know" in run.stdout and "expected[0]" not in run.stdout


def test_expected_none(expecting, own):
    assert drill("run", "--expected", "none", own.folder).returncode == FAILED


@pytest.mark.parametrize("entries, text", [
    ({"a": 1}, "list"), ([3], "expected failure"), ([{"scenario": "a/bad", "expect": "*"}], '"reason" is missing'),
    ([entry("a/bad", reasn="x")], 'did you mean "reason"?'), ([entry("a/bad", "nonce-reuse")], "rule nonce-reuse"),
    ([entry("a/bad", "rule nonce-resue")], 'did you mean "nonce-reuse"?'),
    ([entry("a/bad", "expect[0] nevr")], 'did you mean "never"?'),
    ([entry("a/bad", "expect[x] never")], "not the name of an expectation"),
    ([entry("")], "empty"), ([entry("a/bad")] * 2, "twice"),
])
def test_bad_expected(expecting, entries, text, tmp_path, own):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(entries, indent=1))
    assert not jsonschema.Draft202012Validator(EXPECTED_SCHEMA).is_valid(entries)
    run = drill("run", "--expected", path, own.folder)
    line, = run.stderr.splitlines()
    assert run.returncode == INVALID and re.match(rf"{re.escape(str(path))}:[0-9]+:[0-9]+: ", line) and text in line


def test_write_expected(own, tmp_path):
    """What is written is valid, and a run with it passes."""
    own("a/bad", expect=BAD + [{"count": "client creates order", "is": 3}], variants={"x": {}, "y": {}})
    own("a/good", expect=GOOD)
    path = tmp_path / "expected.json"
    results("--write-expected", path, own.folder, status=FAILED)
    written = json.loads(path.read_text())
    jsonschema.validate(written, EXPECTED_SCHEMA)
    failing = ("expect[0] eventually", "expect[1] count")
    assert {(e["scenario"], e["expect"]) for e in written} == {(f"a/bad#{v}", e) for v in "xy" for e in failing}
    assert results("--expected", path, own.folder, status=AS_EXPECTED)["totals"]["expected"] == 2


# --- what is shown ---


def test_quiet_and_verbose(own):
    own("a/ok", expect=GOOD)
    own("a/vacuous", expect=VACUOUS + GOOD)
    plain, quiet, verbose = (drill("run", *flags, own.folder).stdout for flags in ([], ["-q"], ["-v"]))
    vacuous, case, totals = quiet.splitlines()  # a pass that proved nothing is not kept quiet
    assert vacuous.startswith("  vacuous") and "a/vacuous" in case
    assert totals.startswith("2 scenarios: 2 passed (1 with warnings)")
    assert len(drill("run", "-q", own.folder / "a/ok.json").stdout.splitlines()) == 1
    assert re.search(r"^  a +1 ok, 1 ok with warnings|^  a +.*warning", plain, re.M) and "  ok " not in plain
    assert told_outcomes(verbose) == {"a/ok": "ok", "a/vacuous": "warn"} and "it was never so that order is processing" in verbose
    own("a/fail", expect=BAD)
    quiet = drill("run", "--quiet", own.folder).stdout
    assert "FAIL a/fail" in quiet and not re.search(r"^  a ", quiet, re.M) and "seed 8555 - 1 job" not in quiet


LOUD = ["--defect", str(DEFECTS / "client-fears-errors.json"), "-v", PLAIN, "order/plain"]


@pytest.mark.parametrize("args", [["run", *LOUD], ["list"], ["show", PLAIN], ["help"]], ids=" ".join)
def test_no_escapes_into_a_pipe(args):
    run = drill(*args)
    assert ESCAPE not in run.stdout + run.stderr


def on_a_terminal(args, env):
    ours, theirs = pty.openpty()
    with subprocess.Popen([ACMEDRILL, *args], cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs):
        os.close(theirs)
        text = b""
        while select.select([ours], [], [], PATIENCE_S)[0]:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # EIO: nobody has the other end any more
                break
            text += piece
        os.close(ours)
    return text.decode()


@pytest.mark.parametrize("flags, env, colored", [
    ([], {}, True), ([], {"NO_COLOR": "1"}, False), ([], {"NO_COLOR": ""}, True), (["--color", "never"], {}, False),
    (["--color=always"], {"NO_COLOR": "1"}, True), (["--color=auto"], {"NO_COLOR": "1"}, False),
])
def test_color_on_a_terminal(flags, env, colored):
    assert (ESCAPE in on_a_terminal(["run", *flags, *LOUD], environment(**env))) == colored


def test_color_always_in_a_pipe():
    assert ESCAPE in drill("run", "--color", "always", *LOUD).stdout
    assert ESCAPE not in json.dumps(results("--color", "always", *LOUD))


@pytest.mark.parametrize("args", [
    ["run", *LOUD], ["show", "scenarios"], ["help"], ["list", "scenarios"], ["list", "profiles"], ["list", "events"],
    ["list", "faults"], ["list", "rules"], ["list", "clauses"], ["list", "habits"],
], ids=" ".join)
def test_ascii_where_the_locale_is(args):
    run = drill(*args, env=environment(LC_ALL="C"))
    assert run.stdout and run.stdout.isascii() and run.stderr.isascii()


def test_arrows_where_there_are_some():
    assert not drill("run", *LOUD).stdout.isascii()


@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "xx_YY.nonsense"])
def test_locale_changes_no_verdict(locale):
    assert results(*LOUD, env=environment(LC_ALL=locale))["cases"][0]["outcome"] == "FAIL"


# --- interruption, folders ---


@pytest.mark.parametrize("jobs, number", [("1", signal.SIGINT), ("2", signal.SIGINT), ("1", signal.SIGTERM)])
def test_interrupted(jobs, number, tmp_path):
    """After the first result Ctrl-C: what is known is reported, in words and in files."""
    out, junit = tmp_path / "report.json", tmp_path / "junit.xml"
    command = [ACMEDRILL, "run", "-v", "-j", jobs, "--json", out, "--junit", junit, "--repeat", "50"]
    with subprocess.Popen(command, cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as program:
        head, first = program.stdout.readline(), program.stdout.readline()
        program.send_signal(number)
        rest, complaints = program.communicate(timeout=PATIENCE_S)
    assert_sane(program.returncode, complaints)
    assert program.returncode == INTERRUPTED and head.startswith("acmedrill ") and told_outcomes(first)
    report = json.loads(out.read_text())
    assert REPORT_CHECK.is_valid(report)
    totals = report["totals"]
    assert totals["ok"] >= 1 and totals["ERROR"] >= 1 and totals["FAIL"] == 0
    assert {c["reason"] for c in report["cases"] if c["outcome"] == "ERROR"} == {"interrupted"}
    assert "interrupted" in rest
    _, told, seen = junit_counts(junit)
    assert told == seen and told["errors"] == totals["ERROR"]


@pytest.fixture
def moved(tmp_path):
    """The program in a project of its own, as build/PRESET/acmedrill."""
    program = tmp_path / "project" / "build" / "x" / "acmedrill"
    program.parent.mkdir(parents=True)
    shutil.copy2(ACMEDRILL, program)
    (tmp_path / "project" / "scenarios").symlink_to(SCENARIOS)
    (tmp_path / "project" / "conformance").symlink_to(HERE)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    return program, elsewhere


@pytest.mark.parametrize("word", [PLAIN, f"scenarios/{PLAIN}.json", str(SCENARIOS / f"{PLAIN}.json")])
def test_from_another_folder(moved, word):
    program, elsewhere = moved
    report = results("--out", "out", word, program=program, cwd=elsewhere, status=AS_EXPECTED)
    assert names(report) == [PLAIN]
    assert (elsewhere / "out" / PLAIN / "history.jsonl").exists()
    run = drill("judge", "out", program=program, cwd=elsewhere)
    assert run.returncode == AS_EXPECTED and told_outcomes(run.stdout) == {PLAIN: "ok"} and run.stderr == ""


def test_all_is_found_from_another_folder(moved):
    program, elsewhere = moved
    here = drill("list").stdout
    assert drill("list", program=program, cwd=elsewhere).stdout == here
    assert drill("lint", program=program, cwd=elsewhere).stdout == drill("lint").stdout


def test_adapters(moved):
    """All are listed, from anywhere, with what there is to know of them."""
    program, elsewhere = moved
    run = drill("adapters", program=program, cwd=elsewhere)
    assert run.returncode == AS_EXPECTED and run.stderr == ""
    clients, servers = run.stdout.split("servers (run --server NAME)\n")
    for text, kind in (clients, "clients"), (servers, "servers"):
        for path in (HERE / "adapters" / kind).iterdir():
            assert re.search(rf"^  {path.name} +\S", text, re.M)


def test_without_a_project(tmp_path):
    """A copy of the program alone says what it misses, and still runs a file."""
    program = tmp_path / "acmedrill"
    shutil.copy2(ACMEDRILL, program)
    run = drill("run", program=program, cwd=tmp_path)
    assert run.returncode == NOTHING and "scenarios" in run.stderr
    report = results(SCENARIOS / "order" / "plain.json", program=program, cwd=tmp_path, status=AS_EXPECTED)
    assert names(report) == ["order/plain"]
    assert drill("list", "profiles", program=program, cwd=tmp_path).stdout == drill("list", "profiles").stdout
