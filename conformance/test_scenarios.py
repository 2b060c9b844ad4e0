"""The scenarios themselves: all pass in simulation and prove something, each expectation of each case is turned red by a defect,
nothing of the vocabulary is left unused, and virtual time is the same at every run."""

import json
import re
import shutil
import warnings

import pytest

from drilling import (ACMEDRILL, DEFECTS, FAST, HERE, ROOT, SCENARIOS, all_cases, drill, each_once, results, scenario_files,
                      shared_folder, values_of)

CASES = {name: (shared, overlay) for name, shared, overlay in all_cases()}
DEFECT_NAMES = sorted(p.stem for p in DEFECTS.glob("*.json"))
VERBS = ("eventually", "never", "count", "gap", "states", "sequence", "each", "any_of")
ROUND_S = 240  # for all scenarios at once, on a busy machine

pytestmark = pytest.mark.timeout(900)  # who comes first runs all defects, or waits for another worker who does


def by_name(report):
    return {case["name"]: case for case in report["cases"]}


def expected_names(case):
    """What the report must call the expectations of a case."""
    shared, overlay = CASES[case]
    entries = shared.get("expect", []) + overlay.get("expect", [])
    return [f"expect[{i}] {verb}" for i, entry in enumerate(entries) for verb in VERBS if verb in entry]


# --- all pass, and say something ---


ROUNDS = {
    "plain": (ACMEDRILL, []),
    "again": (FAST, []),
    "two-jobs": (ACMEDRILL, ["-j", "2"]),
    "other-seed": (ACMEDRILL, ["--seed", "4711"]),
}


@pytest.fixture(scope="session")
def rounds(tmp_path_factory):
    """Every scenario in virtual time, four times over; histories are in FOLDER/NAME."""
    folder = shared_folder(tmp_path_factory, "rounds")

    def play(name):
        program, args = ROUNDS[name]
        out = folder / name
        shutil.rmtree(out, ignore_errors=True)
        return results("--all-findings", "--out", out, *args, program=program, timeout_s=ROUND_S)

    return {"folder": folder} | each_once(folder, list(ROUNDS), play)


@pytest.fixture(scope="session")
def plain(rounds):
    return by_name(rounds["plain"])


def test_no_case_is_left_out(plain):
    assert list(plain) == sorted(CASES, key=list(plain).index) and set(plain) == set(CASES)
    listed = [line.split()[0] for line in drill("list").stdout.splitlines()]
    assert listed == list(plain)


@pytest.mark.parametrize("case", CASES)
def test_passes(plain, case):
    found = plain[case]
    assert found["outcome"] == "ok", found
    assert [f["name"] for f in found["findings"] if f["result"] != "pass"] == []
    assert [f["name"] for f in found["findings"] if f["name"].startswith("expect")] == expected_names(case)
    # A case that expects nothing proves nothing but the rules, which must have had something to judge.
    assert expected_names(case)
    assert any(f["name"].startswith("rule ") for f in found["findings"])


def test_every_expectation_binds_somebody(plain):
    for found in plain.values():
        for finding in found["findings"]:
            assert finding["party"] in ("ca", "client") and finding["level"] in ("MUST", "SHOULD", "MAY", "scenario")
            if finding["name"].startswith("expect"):
                assert finding["file"] == found["path"] and finding["line"] > 1 and finding["source"]


# --- each expectation can fail ---


def defect_results(name):
    """What a defect turns red, and which outcome of an any_of holds under it."""
    report = results("--symbolic", "--all-findings", "--defect", DEFECTS / f"{name}.json", program=FAST, timeout_s=800)
    red, held, outcomes = {}, {}, {}
    for case in report["cases"]:
        red[case["name"]] = sorted({f["name"] for f in case["findings"] if f["result"] == "FAIL"})
        passed = [f for f in case["findings"] if f["result"] == "pass"]
        held[case["name"]] = {f["name"]: f["observed"] for f in passed if f["name"].endswith(" any_of")}
        outcomes[case["outcome"]] = outcomes.get(case["outcome"], 0) + 1
    return {"red": red, "held": held, "outcomes": outcomes}


@pytest.fixture(scope="session")
def matrix(tmp_path_factory):
    return each_once(shared_folder(tmp_path_factory, "defects"), DEFECT_NAMES, defect_results)


@pytest.mark.parametrize("case", CASES)
def test_each_expectation_can_fail(matrix, case):
    red = set().union(*(defect["red"][case] for defect in matrix.values()))
    never_red = [name for name in expected_names(case) if name not in red]
    assert never_red == [], f"no defect in {DEFECTS.relative_to(ROOT)} turns these red"


@pytest.mark.parametrize("defect", DEFECT_NAMES)
def test_defect_is_one(matrix, defect):
    """Every defect is seen, by an expectation of some case and not only by the rules, and none brings the harness down."""
    found = matrix[defect]
    assert any(name.startswith("expect") for names in found["red"].values() for name in names)
    assert found["outcomes"].get("FAIL") and set(found["outcomes"]) <= {"ok", "warn", "FAIL"}


ANY_OF = [(case, name) for case in CASES for name in expected_names(case) if name.endswith(" any_of")]


@pytest.mark.parametrize("case, name", ANY_OF)
def test_each_outcome_can_be(matrix, plain, case, name):
    """Of an any_of, each outcome holds under some defect or without."""
    shared, overlay = CASES[case]
    entry = (shared.get("expect", []) + overlay.get("expect", []))[int(re.search(r"\d+", name)[0])]
    seen = {defect["held"][case].get(name) for defect in matrix.values()}
    seen |= {f["observed"] for f in plain[case]["findings"] if f["name"] == name}
    assert {f'"{outcome}"' for outcome in entry["any_of"]} <= seen


# --- nothing is there for nothing ---


def words(what):
    return [line.split()[0] for line in drill("list", what).stdout.splitlines()]


PAPERS = {p: json.loads(p.read_text()) for p in scenario_files() + sorted(DEFECTS.glob("*.json"))}


def used(key):
    """All texts under a key, in scenarios and defects; of "poll-every 1s" its first word."""
    found = set()
    for paper in PAPERS.values():
        for value in values_of(paper, key):
            found |= {v.split()[0] for v in (value if isinstance(value, list) else [value]) if isinstance(v, str) and v}
    return found


def test_every_fault_is_used():
    assert set(words("faults")) - used("fault") == set()


def test_every_habit_is_used():
    assert set(words("habits")) - used("habits") == set()


def test_every_profile_is_played():
    named = set()
    for path in scenario_files():
        for profile in values_of(PAPERS[path], "profile"):
            named.add(profile if isinstance(profile, str) else profile.get("base", "rfc8555"))
    files = {p.stem for p in (SCENARIOS / "profiles").glob("*.json")}
    assert files == set(words("profiles"))
    assert files - named - {"rfc8555"} == set()  # what is given where nothing is


def test_every_rule_is_at_work(plain):
    judged = {f["name"] for case in plain.values() for f in case["findings"] if f["name"].startswith("rule ")}
    assert {f"rule {rule}" for rule in words("rules")} == judged


def test_clauses():
    """Each clause that a scenario names is known; those that none names are listed as a warning."""
    known = {clause["id"] for clause in json.loads((HERE / "clauses.json").read_text())}
    assert known == set(words("clauses"))
    named = set()
    for path in scenario_files():
        named |= {c for listed in values_of(PAPERS[path], "clauses") for c in listed} | set(values_of(PAPERS[path], "clause"))
    assert named - known == set()
    if known - named:
        warnings.warn(f"{len(known - named)} of {len(known)} clauses have no scenario: {', '.join(sorted(known - named))}")


# --- virtual time ---


def histories(folder):
    return {str(p.relative_to(folder).parent): p.read_bytes() for p in folder.rglob("history.jsonl")}


def bare(report):
    """A report without what may differ: real time, and where files lie."""
    cases = [{k: v for k, v in case.items() if k not in ("real_ms", "files")} for case in report["cases"]]
    return {k: v for k, v in report.items() if k != "real_ms"} | {"cases": cases}


@pytest.mark.parametrize("other", ["again", "two-jobs"])
def test_same_seed_same_bytes(rounds, other):
    """The same seed again, in another process (and by another build, where there is one), and by two jobs."""
    first, second = histories(rounds["folder"] / "plain"), histories(rounds["folder"] / other)
    assert set(first) == set(second) == set(CASES)
    assert [case for case in first if first[case] != second[case]] == []
    assert bare(rounds["plain"]) == bare(rounds[other])


def test_other_seed_other_bytes(rounds):
    """Nonces, keys and tokens differ from the second record on; the verdicts do not."""
    first, second = histories(rounds["folder"] / "plain"), histories(rounds["folder"] / "other-seed")
    body = lambda history: history.split(b"\n", 1)[1]
    spoken = {case for case in first if b"Replay-Nonce" in first[case]}
    assert len(spoken) > len(first) * 9 / 10
    assert [case for case in spoken if body(first[case]) == body(second[case])] == []
    assert {case["outcome"] for case in rounds["other-seed"]["cases"]} == {"ok"}


def test_time_is_virtual(rounds):
    report = rounds["plain"]
    protocol_ms, real_ms = sum(case["protocol_ms"] for case in report["cases"]), report["real_ms"]
    assert protocol_ms > 3600_000 and protocol_ms > real_ms * 20
