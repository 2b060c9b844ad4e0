"""What the tests of the command line share: one way to run the program that notices crashes, the cases as the files have
them, and work that is done once for all pytest workers."""

import fcntl
import json
import os
import pathlib
import subprocess
import xml.etree.ElementTree

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
SCENARIOS = ROOT / "scenarios"
DEFECTS = ROOT / "fixtures" / "defects"
ACMEDRILL = os.environ.get("ACMEDRILL", str(ROOT / "build" / "dev" / "acmedrill"))

AS_EXPECTED, FAILED, USAGE, INVALID, NOTHING, TARGET, HARNESS, INTERRUPTED = STATUSES = 0, 1, 2, 3, 4, 5, 70, 130
OUTCOMES = ("ok", "warn", "FAIL", "expected", "STALE", "skip", "ERROR")
PATIENCE_S = 60


def sources_changed_s():
    """When what the program is made of was last touched."""
    files = [HERE / "clauses.json", *(SCENARIOS / "profiles").glob("*.json"), *(ROOT / "sim").rglob("*.[ch]")]
    return max(path.stat().st_mtime for path in files)


def fast_program():
    """An optimised build for what is many runs and no test of memory; the program under test where there is no fresh one."""
    if given := os.environ.get("ACMEDRILL_FAST"):
        return given
    release = ROOT / "build" / "release" / "acmedrill"
    fresh = release.exists() and release.stat().st_mtime >= sources_changed_s()
    return str(release) if fresh else ACMEDRILL


FAST = fast_program()


def environment(**more):
    """The tests' own: a UTF-8 locale, no wishes about colours. A value None takes a variable away."""
    env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "CI") and not k.startswith(("LC_", "LANG", "ACMEDRILL_"))}
    env |= {"LC_ALL": "C.UTF-8"} | {k: str(v) for k, v in more.items() if v is not None}
    return {k: v for k, v in env.items() if more.get(k, "") is not None}


def assert_sane(returncode, stderr, what=""):
    """No signal ended it, no sanitizer or assert spoke."""
    for trace in ("Sanitizer", "runtime error", "Assertion", "out of memory"):
        assert trace not in stderr, f"{what}: {stderr[-4000:]}"
    assert returncode in STATUSES, f"{what}: status {returncode}\n{stderr[-4000:]}"


def drill(*args, program=ACMEDRILL, cwd=ROOT, env=None, timeout_s=PATIENCE_S, **more):
    """Runs acmedrill; the result has .returncode, .stdout and .stderr. Bytes that are no UTF-8 fail the test."""
    command = [str(a) for a in (program, *args)]
    more |= {"cwd": cwd, "env": env or environment(), "timeout": timeout_s, "stdin": subprocess.DEVNULL}
    run = subprocess.run(command, capture_output=True, **more)
    run.stdout, run.stderr = run.stdout.decode("utf-8"), run.stderr.decode("utf-8")
    assert_sane(run.returncode, run.stderr, " ".join(command[1:])[:300])
    return run


def results(*args, status=None, **more):
    """The JSON of a run, checked for its status unless that is None."""
    run = drill("run", "--json", "-", *args, **more)
    assert status is None or run.returncode == status, run.stderr
    return json.loads(run.stdout)


def junit_counts(path):
    """tests, failures, errors, skipped: as the attributes of the root say, and as the elements are."""
    root = xml.etree.ElementTree.parse(path).getroot()
    cases = list(root.iter("testcase"))
    told = {name: int(root.get(name)) for name in ("tests", "failures", "errors", "skipped")}
    count = lambda element: sum(case.find(element) is not None for case in cases)
    seen = {"tests": len(cases), "failures": count("failure"), "errors": count("error"), "skipped": count("skipped")}
    return root, told, seen


# --- the cases, from the files and not from the program ---


def scenario_files():
    return sorted(p for p in SCENARIOS.rglob("*.json") if p.parent.name != "profiles")


def cases_of(path):
    """(name, shared part, overlay) for each case of a file."""
    file = json.loads(path.read_text())
    identity = str(path.relative_to(SCENARIOS).with_suffix(""))
    variants = file.get("variants")
    if not variants:
        return [(identity, file, {})]
    return [(f"{identity}#{variant}", file, overlay) for variant, overlay in variants.items()]


def all_cases():
    return [case for path in scenario_files() for case in cases_of(path)]


def values_of(value, key):
    """All values under this key, wherever it stands."""
    if isinstance(value, dict):
        return [v for k, v in value.items() if k == key] + [x for v in value.values() for x in values_of(v, key)]
    if isinstance(value, list):
        return [x for v in value for x in values_of(v, key)]
    return []


# --- work that is done once ---


def shared_folder(tmp_path_factory, name):
    """A folder that all pytest workers of this session have in common."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / f"shared-{name}"
    folder.mkdir(exist_ok=True)
    return folder


def each_once(folder, items, make):
    """{item: make(item)}, each made by one worker only: in the first round whoever finds an item free takes it, in the second
    one waits for what others have taken."""
    made = {}
    for flags in (fcntl.LOCK_EX | fcntl.LOCK_NB, fcntl.LOCK_EX):
        for item in items:
            if item in made:
                continue
            result = folder / f"{item}.json"
            with open(folder / f"{item}.lock", "w") as lock:
                try:
                    fcntl.flock(lock, flags)
                except BlockingIOError:
                    continue
                if not result.exists():
                    result.write_text(json.dumps(make(item)))
                made[item] = json.loads(result.read_text())
    return made
