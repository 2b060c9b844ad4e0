"""The schema, the linter and their promises: both agree on every file in schema/good and schema/bad, the linter alone refuses
those in schema/bad-lint, and each complaint says the right thing at the right place (schema/expect.json)."""

import json
import os
import pathlib
import re
import subprocess

import jsonschema
import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
FILES = HERE / "schema"
ACMEDRILL = os.environ.get("ACMEDRILL", str(ROOT / "build" / "dev" / "acmedrill"))
EXPECT = json.loads((FILES / "expect.json").read_text())


def files(*folders):
    return sorted(p for f in folders for p in (FILES / f).rglob("*.json"))


def name(path):
    return str(path.relative_to(FILES if FILES in path.parents else ROOT))


def load_schema(stem):
    schema = json.loads((HERE / f"{stem}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return schema


SCHEMAS = {stem: load_schema(stem) for stem in ("scenario", "profile")}


def schema_accepts(path):
    stem = "profile" if path.parent.name == "profiles" else "scenario"
    resolver = jsonschema.RefResolver(
        "scenario.schema.json",
        SCHEMAS["scenario"],
        store={f"{s}.schema.json": schema for s, schema in SCHEMAS.items()},
    )
    validator = jsonschema.Draft202012Validator(SCHEMAS[stem], resolver=resolver)
    return validator.is_valid(json.loads(path.read_text()))


def lint(path):
    run = subprocess.run([ACMEDRILL, "lint", str(path)], capture_output=True, text=True, timeout=30)
    return run.returncode, run.stdout + run.stderr


def complaint_is_there(path, output):
    want = EXPECT[name(path)]
    place = f"{path.name}:{want['line']}:{want['column']}: "
    found = [line for line in output.splitlines() if place in line and want["text"] in line]
    return bool(found), f"expected ...{place}...{want['text']}..., got:\n{output}"


@pytest.mark.parametrize("path", files("good"), ids=name)
def test_good(path):
    assert schema_accepts(path)
    code, output = lint(path)
    assert code == 0, output


@pytest.mark.parametrize("path", files("bad"), ids=name)
def test_bad(path):
    assert not schema_accepts(path)
    code, output = lint(path)
    assert code == 3, output
    good, why = complaint_is_there(path, output)
    assert good, why


@pytest.mark.parametrize("path", files("bad-lint"), ids=name)
def test_bad_by_meaning(path):
    assert schema_accepts(path)
    code, output = lint(path)
    assert code == 3, output
    good, why = complaint_is_there(path, output)
    assert good, why


@pytest.mark.parametrize("path", sorted((ROOT / "scenarios").rglob("*.json")), ids=name)
def test_own_scenarios(path):
    assert schema_accepts(path)
    code, output = lint(path)
    assert code == 0, output


def test_every_bad_file_has_its_complaint():
    assert {name(p) for p in files("bad", "bad-lint")} == set(EXPECT)


def keys_of(schema):
    """Every property name that the schema knows, wherever it stands."""
    found = set()
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "properties":
                found |= set(value)
            found |= keys_of(value)
    elif isinstance(schema, list):
        for value in schema:
            found |= keys_of(value)
    return found


def keys_in(value):
    if isinstance(value, dict):
        return set(value) | set().union(*map(keys_in, value.values()))
    if isinstance(value, list):
        return set().union(*map(keys_in, value))
    return set()


def test_good_files_use_every_key():
    used = set().union(*(keys_in(json.loads(p.read_text())) for p in files("good")))
    known = keys_of(SCHEMAS["scenario"]) | keys_of(SCHEMAS["profile"])
    assert known - used == set()


def test_clauses_are_whole_and_unique():
    clauses = json.loads((HERE / "clauses.json").read_text())
    ids = [clause["id"] for clause in clauses]
    assert len(ids) == len(set(ids))
    for clause in clauses:
        assert re.fullmatch(r"rfc[0-9]{4}#[0-9.]+-[a-z0-9-]+", clause["id"])
        assert clause["level"] in ("MUST", "SHOULD", "MAY")
        assert clause["party"] in ("client", "ca")
        assert clause["text"] and clause["why"]
        rfc, section = re.fullmatch(r"rfc([0-9]{4})#([0-9.]+)-.*", clause["id"]).groups()
        assert clause["section"] == f"RFC {rfc} section {section}"
