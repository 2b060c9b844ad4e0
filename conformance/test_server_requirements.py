"""server_requirements.json: what RFC 8555 and its companions ask of a server, row by row, and for each row what shows that our CA does it
("shown"), or why it does not ("not"). Here nothing is shown by what is not there, and the README says
what is not done."""

import json
import re

import pytest
from drilling import HERE, ROOT, SCENARIOS

ROWS = json.loads((HERE / "server_requirements.json").read_text())
CLAUSES = {clause["id"]: clause for clause in json.loads((HERE / "clauses.json").read_text())}


def played():
    """All clauses that a scenario or a rule of the oracle judges."""
    text = "".join(path.read_text() for path in [*SCENARIOS.rglob("*.json"), *(ROOT / "sim" / "oracle").glob("*.c")])
    return {clause for clause in CLAUSES if f'"{clause}"' in text}


def test_each_row_says_one_thing():
    assert len({row["id"] for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert {"id", "level", "text"} < set(row) and len(set(row) & {"shown", "not"}) == 1 and len(row) == 4, row
        assert row.get("shown") != [] and row.get("not") != "", row


def test_what_is_shown_is_there():
    clauses, texts = played(), {}
    for row in ROWS:
        for witness in row.get("shown", []):
            if witness.startswith("clause "):
                clause = witness.removeprefix("clause ")
                assert clause in clauses and CLAUSES[clause]["requirement"] == row["id"], row
                continue
            path, _, name = witness.partition("::")
            text = texts.setdefault(path, (ROOT / path).read_text())
            if path.endswith(".py"):
                assert re.search(rf"^def {name}\(", text, re.M), witness
            else:
                assert re.search(rf"^static void {name}\(void \*\*state\)", text, re.M) and len(re.findall(rf"\b{name}\b", text)) > 1, witness


@pytest.mark.parametrize("clause", [clause for clause in CLAUSES.values() if clause["party"] == "ca" and "requirement" in clause], ids=lambda c: c["id"])
def test_each_clause_is_named_by_its_row(clause):
    [row] = [row for row in ROWS if row["id"] == clause["requirement"]]
    if clause["id"] in played():
        assert f"clause {clause['id']}" in row.get("shown", []), row


def test_the_readme_says_what_is_not_done():
    text = " ".join((ROOT / "README.md").read_text().split())
    assert f"({sum('shown' in row for row in ROWS)} of {len(ROWS)})" in text
    assert [row["id"] for row in ROWS if "not" in row and row["not"] not in text] == []
