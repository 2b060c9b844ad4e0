"""Files that are not what they should be. Whatever lies in a scenario, a profile, a defect, a file of expected failures or a
history: a line that says where and why, the exit status that is promised, soon; and never a crash."""

import copy
import json
import os
import random
import re
import resource
import socket
import subprocess

import jsonschema
import pytest

from drilling import (ACMEDRILL, AS_EXPECTED, DEFECTS, FAILED, HARNESS, HERE, INVALID, NOTHING, PATIENCE_S, SCENARIOS, assert_sane,
                      drill, environment, results, scenario_files)

PLAIN = "order/plain"
SOON_S = 20  # of the processor's time; milliseconds are what it takes, the rest is for sanitizers
BATCH = 80  # no more: a hundred complaints are shown
EVIL = 100 * 1000 * 1000
DEPTH = 100_000

GOOD = {
    "scenario": json.loads((SCENARIOS / "http-01" / "404-502-ok.json").read_text()),
    "profile": json.loads((SCENARIOS / "profiles" / "step-ca-retry.json").read_text()),
    "defect": json.loads((DEFECTS / "ca-queries-when-read.json").read_text()),
    "expected": [{"scenario": PLAIN, "expect": "*", "version": "2.*", "reason": "we know"}],
}
KINDS = list(GOOD)


def command(kind, path):
    """How a file of this kind comes in."""
    return {"scenario": ["run", "-q", path], "profile": ["lint", path], "defect": ["run", "-q", "--defect", path, PLAIN],
            "expected": ["run", "-q", "--expected", path, PLAIN], "history": ["judge", path]}[kind]


def spent_s():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def timed(*args, soon_s=SOON_S, **more):
    """Who waits in vain is stopped by the clock (PATIENCE_S); who works too long is found out whatever else the machine does."""
    before_s = spent_s()
    run = drill(*args, **more)
    took_s = spent_s() - before_s
    assert took_s < soon_s, f"{took_s:.1f} s"
    return run


def place(tmp_path, kind, name="bad.json"):
    path = tmp_path / ("profiles" if kind == "profile" else "files") / name
    path.parent.mkdir(exist_ok=True)
    return path


def assert_complaint(line, path):
    """FILE:LINE:COLUMN: text, where there is such a place, or FILE: text; one line of plain text."""
    assert line.startswith(f"{path}:"), line
    found = re.match(r"(?:([0-9]+):([0-9]+))?: \S", line[len(str(path)) + (line[len(str(path)) + 1] != " "):])
    assert found and line.isprintable() and len(line) < 1000, line
    if found[1] and path.is_file():
        with open(path, "rb") as file:
            text = file.read(1 << 24)
        lines = text.split(b"\n")
        assert 1 <= int(found[1]) <= len(lines), line
        assert 1 <= int(found[2]) <= len(lines[int(found[1]) - 1]) + 1, line


def refused(kind, path):
    """The file is refused in one line; returns it."""
    run = timed(*command(kind, path))
    assert run.returncode == INVALID, run.stdout + run.stderr
    line, = run.stderr.splitlines()
    assert_complaint(line, path)
    return line


def lint_all(files, soon_s=SOON_S):
    """{file: its complaints}, of many files with few processes."""
    found = {path: [] for path in files}
    for i in range(0, len(files), BATCH):
        batch = files[i : i + BATCH]
        run = timed("lint", *batch, soon_s=soon_s)
        for line in run.stderr.splitlines():
            path = next((p for p in batch if line.startswith(f"{p}:")), None)
            assert path, line
            assert_complaint(line, path)
            found[path].append(line[len(str(path)) + 1 :])
        assert run.returncode == (INVALID if run.stderr else AS_EXPECTED)
    return found


# --- bytes that are no JSON, or no JSON that anybody wants ---


def with_note(kind, note):
    """A good file but for the text (raw JSON) of one member."""
    start = {"scenario": '"acmedrill": 1, "title": "t"', "profile": '"title": "t"', "defect": '"acmedrill": 1, "title": "t"',
             "expected": '"scenario": "a", "expect": "*", "reason": "r"'}[kind]
    body = f'{{ {start},\n  "{"version" if kind == "expected" else "note"}": {note} }}\n'
    return (f"[{body}]" if kind == "expected" else body).encode()


def whole(kind):
    return json.dumps(GOOD[kind], indent=1).encode()


# name: (bytes from the kind, a word of the complaint)
TEXTS = {
    "empty": (lambda kind: b"", "ends too early"),
    "blank": (lambda kind: b" \t\r\n", "ends too early"),
    "null": (lambda kind: b"null", ""),
    "number": (lambda kind: b"3", ""),
    "text": (lambda kind: b'"x"', ""),
    "wrong-bracket": (lambda kind: b"{}" if kind == "expected" else b"[]", "expected here, not"),
    "words": (lambda kind: b"acmedrill run\n", "not JSON"),
    "open": (lambda kind: b"{", "ends too early"),
    "close": (lambda kind: b"}", "not JSON"),
    "two": (lambda kind: whole(kind) + whole(kind), "not JSON"),
    "tail": (lambda kind: whole(kind) + b"x", "not JSON"),
    "comma": (lambda kind: with_note(kind, '"x",'), "not JSON"),
    "comment": (lambda kind: with_note(kind, '"x" // y'), "not JSON"),
    "single-quotes": (lambda kind: with_note(kind, "'x'"), "not JSON"),
    "nan": (lambda kind: with_note(kind, "NaN"), "not JSON"),
    "control": (lambda kind: with_note(kind, '"\x01"'), "not JSON"),
    "raw-newline": (lambda kind: with_note(kind, '"a\nb"'), "not JSON"),
    "bad-escape": (lambda kind: with_note(kind, '"\\x41"'), "not JSON"),
    "lone-surrogate": (lambda kind: with_note(kind, '"\\ud800"'), "not JSON"),
    "nul-escape": (lambda kind: with_note(kind, '"\\u0000"'), "not JSON"),
    "nul-key": (lambda kind: with_note(kind, '"x", "\\u0000": 1'), "not JSON"),
    "nul-byte": (lambda kind: with_note(kind, '"a\0b"'), "a NUL byte"),
    "nul-at-the-end": (lambda kind: whole(kind) + b"\0", "a NUL byte"),
    "all-nul": (lambda kind: bytes(4096), "a NUL byte"),
    "latin-1": (lambda kind: with_note(kind, '"x"').replace(b'"x"', b'"\xe4\xf6\xfc"'), "not UTF-8"),
    "overlong": (lambda kind: with_note(kind, '"x"').replace(b'"x"', b'"\xc0\xaf"'), "not UTF-8"),
    "surrogate-bytes": (lambda kind: with_note(kind, '"x"').replace(b'"x"', b'"\xed\xa0\x80"'), "not UTF-8"),
    "cut-character": (lambda kind: whole(kind) + b"\xe2\x82", "not UTF-8"),
    "byte-order-mark": (lambda kind: b"\xef\xbb\xbf" + whole(kind), "byte order mark"),
    "utf-16": (lambda kind: whole(kind).decode().encode("utf-16"), ""),
    "elf": (lambda kind: open("/bin/true", "rb").read(), ""),
    "huge-integer": (lambda kind: with_note(kind, "1" + "0" * 30), "not JSON: too big integer"),
    "huge-negative": (lambda kind: with_note(kind, "-1" + "0" * 30), "not JSON: too big negative integer"),
    "huge-real": (lambda kind: with_note(kind, "1e999"), "not JSON: real number overflow"),
    "long-number": (lambda kind: with_note(kind, "9" * 1000_000), "not JSON: too big integer"),
    "integer-for-text": (lambda kind: with_note(kind, "9223372036854775807"), "expected here, not a whole number"),
    "real-for-text": (lambda kind: with_note(kind, "-1.5e300"), "expected here, not a number"),
    "same-key": (lambda kind: with_note(kind, '"x", "zz": 1, "zz": 2'), 'the key "zz" stands twice'),
    "same-key-escaped": (lambda kind: with_note(kind, '"x", "zz": 1, "\\u007az": 2'), "stands twice"),
    "same-key-deep": (lambda kind: with_note(kind, '[{"a": {"zz": 1, "b": 2, "zz": 1}}]'), 'the key "zz" stands twice'),
    "unknown-key": (lambda kind: with_note(kind, '"x", "xyzzy": 1'), "unknown key"),
    "unprintable-key": (lambda kind: with_note(kind, '"x", "\\n\\u001b[31mred\\u007f": 1'), "unknown key"),
    "long-key": (lambda kind: with_note(kind, f'"x", "{"k" * 1000_000}": 1'), "unknown key"),
    "long-text": (lambda kind: with_note(kind, f'"{"x" * 1000_000}"'), "longer than"),
    "many-values": (lambda kind: with_note(kind, "[" + "0," * 300_000 + "0]"), "more than 200000 values"),
    "deep-lists": (lambda kind: with_note(kind, "[" * DEPTH + "]" * DEPTH), "nested deeper than"),
    "deep-objects": (lambda kind: with_note(kind, '{"a":' * DEPTH + "1" + "}" * DEPTH), "nested deeper than"),
    "deep-and-open": (lambda kind: b"[" * DEPTH, "nested deeper than"),
    "large": (lambda kind: b" " * (5 << 20), "larger than"),
}


# Those that could take long, alone and by the clock; and all by a few processes.
SLOW = ["long-number", "long-key", "long-text", "many-values", "deep-lists", "deep-objects", "deep-and-open", "large", "same-key"]
# The other kinds are read by the same function: one of each sort will do.
SORTS = ["empty", "wrong-bracket", "two", "nul-byte", "latin-1", "integer-for-text", "same-key-deep", "unprintable-key",
         "deep-objects", "large"]
SINGLE = [("scenario", name) for name in SLOW] + [(kind, name) for kind in ("defect", "expected") for name in SORTS]


@pytest.mark.parametrize("kind, name", SINGLE)
def test_text(kind, name, tmp_path):
    make, word = TEXTS[name]
    path = place(tmp_path, kind)
    path.write_bytes(make(kind))
    assert word in refused(kind, path)


@pytest.mark.parametrize("kind", ["scenario", "profile"])
def test_all_texts(kind, tmp_path):
    files = {place(tmp_path, kind, f"{name}.json"): name for name in TEXTS}
    for path, name in files.items():
        path.write_bytes(TEXTS[name][0](kind))
    found = lint_all(list(files), soon_s=2 * SOON_S)
    for path, complaints in found.items():
        assert len(complaints) == 1 and TEXTS[files[path]][1] in complaints[0], (files[path], complaints)


@pytest.mark.parametrize("kind", KINDS)
def test_good_files_are_good(kind, tmp_path):
    """Else the above proves little."""
    path = place(tmp_path, kind)
    for text in (whole(kind), with_note(kind, '"x"')):
        path.write_bytes(text)
        assert timed(*command(kind, path)).returncode in (AS_EXPECTED, FAILED)


def test_many_of_one_mistake(tmp_path):
    """A hundred complaints are shown, the rest is counted."""
    path = place(tmp_path, "scenario")
    path.write_text(json.dumps({"acmedrill": 1, "title": "t"} | {f"xyzzy{i}": 1 for i in range(5000)}))
    run = timed(*command("scenario", path))
    assert run.returncode == INVALID
    *lines, more = run.stderr.splitlines()
    assert len(lines) == 100 and more == "... and 4900 more"


def test_many_bad_files(tmp_path):
    """All are looked at; a good one among them changes nothing."""
    for i in range(500):
        (tmp_path / f"{i:03}.json").write_text("{" if i != 250 else json.dumps(GOOD["scenario"]))
    run = timed("run", tmp_path)
    assert run.returncode == INVALID and run.stderr.splitlines()[-1] == "... and 399 more"


# --- cut anywhere ---


def cut_points(text):
    return range(97, len(text), 97)


@pytest.mark.parametrize("kind", ["scenario", "profile"])
def test_cut(kind, tmp_path):
    """At every 97th byte of all good files of this kind that are large."""
    sources = scenario_files() if kind == "scenario" else sorted((SCENARIOS / "profiles").glob("*.json"))
    sources = sorted(sources, key=lambda p: p.stat().st_size)[-8:]
    files = []
    for source in sources:
        text = source.read_bytes()
        for at in cut_points(text.rstrip()):
            path = place(tmp_path, kind, f"{source.stem}-{at}.json")
            path.write_bytes(text[:at])
            files.append(path)
    assert len(files) > 200
    for path, complaints in lint_all(files).items():
        complaint, = complaints
        assert "not JSON" in complaint or "not UTF-8" in complaint
        line = path.read_bytes().count(b"\n") + 1
        assert int(complaint.split(":")[0]) in (line, line - 1), complaint


@pytest.mark.parametrize("kind", ["defect", "expected"])
def test_cut_elsewhere(kind, tmp_path):
    text = whole(kind)
    for at in range(1, len(text), max(29, len(text) // 8)):
        path = place(tmp_path, kind)
        path.write_bytes(text[:at])
        assert "not JSON" in refused(kind, path)


# --- wrong types everywhere ---


OTHERS = [None, True, 7, -1.5, "xyzzy", ["xyzzy"], {"xyzzy": 1}, [], {}, ""]


def others(value, i):
    """One of each type that it is not: empty or not, whole or not, in turn."""
    pairs = [(None, None), (True, False), (7, -1.5), ("xyzzy", ""), (["xyzzy"], []), ({"xyzzy": 1}, {})]
    return [pair[i % 2] for pair in pairs if type(pair[0]) is not type(value)]


def nodes(value, path=()):
    """(path, value) of everything inside."""
    if path:
        yield path, value
    for key, member in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from nodes(member, (*path, key))


def changed(value, path, new):
    value = at = copy.deepcopy(value)
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = new
    return value


def schema_accepts(kind, text):
    schemas = {stem: json.loads((HERE / f"{stem}.schema.json").read_text()) for stem in ("scenario", "profile")}
    store = {f"{stem}.schema.json": schema for stem, schema in schemas.items()}
    resolver = jsonschema.RefResolver("scenario.schema.json", schemas["scenario"], store=store)
    return jsonschema.Draft202012Validator(schemas[kind], resolver=resolver).is_valid(json.loads(text))


RICH = sorted((HERE / "schema" / "good").rglob("*.json"))  # together they use every key


@pytest.mark.parametrize("source", RICH, ids=lambda p: str(p.relative_to(HERE / "schema" / "good")))
def test_wrong_type(source, tmp_path):
    """Each value of a good file becomes one of each other type: one line about it, and one only, unless the schema says that
    the other type is good as well."""
    kind = "profile" if source.parent.name == "profiles" else "scenario"
    good, files = json.loads(source.read_text()), []
    for i, (path, value) in enumerate(nodes(good)):
        for other in others(value, i):
            files.append(place(tmp_path, kind, f"{len(files)}.json"))
            files[-1].write_text(json.dumps(changed(good, path, other), indent=1))
    for path, complaints in lint_all(files).items():
        if complaints:
            assert len(complaints) == 1, complaints
        else:
            assert schema_accepts(kind, path.read_text()), path.read_text()


def test_wrong_type_of_expected(tmp_path):
    schema = jsonschema.Draft202012Validator(json.loads((HERE / "expected.schema.json").read_text()))
    for where, value in nodes(GOOD["expected"]):
        for other in OTHERS[len(where) :: 3]:
            if type(other) is type(value) or schema.is_valid(entries := changed(GOOD["expected"], where, other)):
                continue
            path = place(tmp_path, "expected")
            path.write_text(json.dumps(entries, indent=1))
            if isinstance(other, dict) and len(where) == 1:
                continue  # an entry with three members missing has three lines
            refused("expected", path)


def test_wrong_type_of_defect(tmp_path):
    good = {"acmedrill": 1, "title": "t", "given": {"profile": {"retry": "none"}},
            "ca": {"replies": {"new order": [{"status": 500}]}}, "client": {"habits": ["answers-all"]}}
    for i, (where, value) in enumerate(nodes(good)):
        for other in OTHERS[i % 10 :: 10]:
            if type(other) is type(value):
                continue
            path = place(tmp_path, "defect")
            path.write_text(json.dumps(changed(good, where, other), indent=1))
            run = timed(*command("defect", path))
            if run.stderr or run.returncode != AS_EXPECTED:
                assert run.returncode in (INVALID, FAILED)
                assert all(line.startswith(f"{path}:") for line in run.stderr.splitlines()) and len(run.stderr.splitlines()) <= 1


@pytest.mark.parametrize("kind", ["scenario", "profile"])
def test_noise(kind, tmp_path):
    """Bytes changed, doubled, taken away and put in at random, from a seed: refused in plain lines, or good."""
    rng, files = random.Random(8555), []
    for source in RICH:
        if (source.parent.name == "profiles") != (kind == "profile"):
            continue
        for _ in range(240 if kind == "profile" else 24):
            text = bytearray(source.read_bytes())
            for _ in range(rng.choice((1, 1, 2, 9))):
                at, length = rng.randrange(len(text) + 1), rng.choice((1, 1, 4, 60))
                piece = text[at : at + length]
                any_bytes, mark = bytes(rng.randrange(256) for _ in piece), rng.choice((b'"', b"{", b"[", b"-", b"9" * 20))
                text[at : at + length] = rng.choice((b"", piece * 2, any_bytes, mark))
            files.append(place(tmp_path, kind, f"{len(files)}.json"))
            files[-1].write_bytes(text)
    found = lint_all(files)
    assert sum(bool(complaints) for complaints in found.values()) > len(files) / 2


# --- what is no file ---


def odd_thing(what, path):
    if what == "folder":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "socket":
        with socket.socket(socket.AF_UNIX) as listening:
            here = os.getcwd()
            os.chdir(path.parent)  # such a path has 108 bytes at most
            listening.bind(path.name)
            os.chdir(here)
    elif what == "loop":
        path.symlink_to(path.name)
    elif what == "dangling":
        path.symlink_to("nowhere")
    elif what == "to-fifo":
        os.mkfifo(path.with_suffix(".fifo"))
        path.symlink_to(path.with_suffix(".fifo").name)
    elif what == "unreadable":  # by root, too
        path.symlink_to("/proc/self/mem")
    elif what == "locked":
        path.write_text("{}")
        path.chmod(0)
    elif what == "endless":
        path.symlink_to("/dev/zero")
    elif what == "100-mb":
        path.touch()
        os.truncate(path, EVIL)


THINGS = ["folder", "fifo", "socket", "loop", "dangling", "to-fifo", "unreadable", "endless", "100-mb"]
if os.geteuid() != 0:
    THINGS.append("locked")


@pytest.mark.parametrize("kind", [*KINDS, "history"])
@pytest.mark.parametrize("what", THINGS)
def test_thing(kind, what, tmp_path):
    path = place(tmp_path, kind, "odd.json")
    odd_thing(what, path)
    reads_16_mib = (kind, what) == ("history", "100-mb")  # then it is known that this is no line
    run = timed(*command(kind, path), soon_s=3 * SOON_S if reads_16_mib else SOON_S)
    if what == "folder" and kind in ("scenario", "profile", "history"):
        assert run.returncode == NOTHING  # one without anything in it
    elif what == "dangling" and kind in ("scenario", "profile"):
        assert run.returncode == NOTHING and str(path) in run.stderr
    else:
        assert run.returncode == INVALID
        line, = run.stderr.splitlines()
        assert_complaint(line, path)


def test_things_in_a_folder(tmp_path):
    """A folder is searched whatever else lies in it: what is no file is left out, links that lead nowhere are complained of."""
    for what in THINGS:
        odd_thing(what, tmp_path / f"{what}.json")
    (tmp_path / "good.json").write_text(json.dumps(GOOD["scenario"]))
    (tmp_path / "up").symlink_to(tmp_path)
    run = timed("lint", tmp_path)
    assert run.returncode == INVALID
    complained = sorted(line.split(":")[0].removeprefix(f"{tmp_path}/") for line in run.stderr.splitlines())
    assert complained == sorted(f"{what}.json" for what in THINGS if what not in ("folder", "fifo", "socket"))


def test_deep_folders(tmp_path):
    """Deeper than anybody needs is not searched, and does no harm."""
    deep = tmp_path.joinpath(*["d"] * 100)
    deep.mkdir(parents=True)
    (deep / "x.json").write_text("{")
    assert timed("lint", tmp_path).returncode == NOTHING
    assert timed("judge", tmp_path).returncode == NOTHING


WORDS = ["", ".", "#", "#x", "a#", "x" * 5000, "../" * 2000 + "x", "%s%n", "\x1b[31m", "\udcff"]


@pytest.mark.parametrize("word", WORDS, ids=lambda word: ascii(word)[:20])
@pytest.mark.parametrize("verb", ["run", "lint", "judge"])
def test_word(verb, word, tmp_path):
    run = subprocess.run([ACMEDRILL, verb, word], cwd=tmp_path, env=environment(), stdin=subprocess.DEVNULL, capture_output=True,
                         timeout=PATIENCE_S)
    assert_sane(run.returncode, run.stderr.decode(errors="replace"))
    assert run.returncode in (NOTHING, INVALID) and len((run.stderr or run.stdout).splitlines()) == 1


# --- histories ---


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """A good one, as lines."""
    out = tmp_path_factory.mktemp("history")
    results("--out", out, "http-01/404-502-ok", status=AS_EXPECTED)
    return (out / "http-01/404-502-ok" / "history.jsonl").read_bytes().splitlines(keepends=True)


def judge_all(folder, histories):
    """[(complaints, judged)] of many histories, with one process."""
    paths = [folder / f"{i:05}" / "history.jsonl" for i in range(len(histories))]
    for path, text in zip(paths, histories):
        path.parent.mkdir(parents=True)
        path.write_bytes(text)
    run = drill("judge", folder, timeout_s=240)
    complaints = {path: [] for path in paths}
    for line in run.stderr.splitlines():
        path = folder / line[len(str(folder)) + 1 :].split("/")[0] / "history.jsonl"
        assert_complaint(line, path)
        complaints[path].append(line[len(str(path)) + 1 :])
    refused = sum(any("record" in c and "last line" not in c for c in found) for found in complaints.values())
    assert f"\n{run.stdout}".endswith(f"\n{len(paths) - refused} histories judged\n")
    assert run.returncode in (AS_EXPECTED, FAILED, INVALID, HARNESS)
    return [complaints[path] for path in paths]


NO_HISTORY = {
    "empty": b"", "blank-line": b"\n", "words": b"hello\n", "list": b"[]\n", "null": b"null\n", "object": b"{}\n",
    "nul": bytes(4096) + b"\n", "latin-1": b'{"seq":1,"t":0,"kind":"run.end","text":"\xe4"}\n',
    "deep": b"[" * DEPTH + b"\n", "deep-object": b'{"a":' * DEPTH + b"\n",
    "same-key": b'{"seq":1,"seq":1,"t":0,"kind":"run.end"}\n',
    "unknown-kind": b'{"seq":1,"t":0,"kind":"wire.telegram"}\n', "unknown-field": b'{"seq":1,"t":0,"kind":"run.end","xyzzy":1}\n',
    "seq-0": b'{"seq":0,"t":0,"kind":"run.end"}\n', "seq-negative": b'{"seq":-1,"t":0,"kind":"run.end"}\n',
    "seq-huge": b'{"seq":1e30,"t":0,"kind":"run.end"}\n', "t-negative": b'{"seq":1,"t":-1,"kind":"run.end"}\n',
    "t-too-big": b'{"seq":1,"t":9223372036854775808,"kind":"run.end"}\n',
    "t-too-late": b'{"seq":1,"t":9223372036854775807,"kind":"run.end"}\n',
    "bad-epoch": b'{"seq":1,"t":0,"kind":"run.start","epoch_ms":-1}\n',
    "bad-speed": b'{"seq":1,"t":0,"kind":"run.start","speed":1001}\n',
    "bad-base64": b'{"seq":1,"t":0,"kind":"run.end","text_base64":"*"}\n',
    "long-line": b'{"seq":1,"t":0,"kind":"run.end","text":"' + b"x" * (17 << 20) + b'"}\n', "elf": open("/bin/true", "rb").read(),
    "many-headers": b'{"seq":1,"t":0,"kind":"wire.response","headers":[' + b'["a","b"],' * 5000 + b'["a","b"]]}\n',
    "json": b'{\n  "acmedrill": 1\n}\n',
}


def test_no_histories(tmp_path):
    complaints = judge_all(tmp_path, list(NO_HISTORY.values()))
    for name, found in zip(NO_HISTORY, complaints):
        wanted = " no record is in it" if name == "empty" else "1:1: not a record of a history"
        assert len(found) == 1 and found[0].startswith(wanted), (name, found)


@pytest.mark.parametrize("name", ["long-line", "deep", "deep-object", "many-headers"])
def test_no_history_soon(name, tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_bytes(NO_HISTORY[name])
    refused("history", path)


def test_history_in_disorder(history, tmp_path):
    """Records twice, backwards, with one gone bad: the line is named."""
    cases = [(history[:5] + [history[4]] + history[5:], 6), (history[:9] + [history[2]], 10), (history[::-1], 2),
             (history[:7] + [b"\n"] + history[7:], 8), (history[:3] + [history[3].rstrip() + history[4]], 4),
             (history + [b"x\n"], len(history) + 1)]
    for (_, line), complaints in zip(cases, judge_all(tmp_path, [b"".join(lines) for lines, _ in cases])):
        complaint, = complaints
        assert complaint.startswith(f"{line}:1: not a record")


def test_cut_history(history, tmp_path):
    """At every 97th byte: judged up to the last whole record; of less than one record there is nothing to judge."""
    text = b"".join(history)
    points = list(cut_points(text))
    for at, complaints in zip(points, judge_all(tmp_path, [text[:at] for at in points])):
        if at < len(history[0]) - 1:
            assert complaints == [" no record is in it"]
        elif text[at - 1 : at] == b"\n" or text[at : at + 1] == b"\n":
            assert complaints == []
        else:
            assert complaints == [" the last line is cut short and was left out"]


def fields(history):
    """(line, path, value) of each field of each sort of record."""
    seen = set()
    for number, line in enumerate(history):
        record = json.loads(line)
        for path, value in nodes(record):
            sort = (record["kind"], record.get("from"), record.get("status"), path)
            if sort not in seen:
                seen.add(sort)
                yield number, record, path, value


def test_wrong_type_in_a_history(history, tmp_path):
    changes = []
    for i, (number, record, path, value) in enumerate(fields(history)):
        for other in others(value, i):
            line = json.dumps(changed(record, path, other)).encode() + b"\n"
            changes.append((number, b"".join([*history[:number], line, *history[number + 1 :]])))
    assert len(changes) > 500
    for (number, _), complaints in zip(changes, judge_all(tmp_path, [text for _, text in changes])):
        assert len(complaints) == 1 and complaints[0].startswith(f"{number + 1}:1: not a record"), complaints


HUGE = 2**63 - 1
VALUES = {
    int: [0, 1, -1, 999, 2**31, 2**32 + 1, HUGE, -HUGE - 1],
    bool: [True, False],
    str: ["", "x", "x" * 100_000, "\n\t\"\\", "ä€\U0001f600\u202e", "null", "{}", "[]", '{"status":"valid"}', "https://ca.test/",
          "client", "ca", "responder", "99999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "-1",
          "[" * 30_000, '{"protected":"e30","payload":"","signature":""}'],
    list: [[]],
    dict: [],
}


def test_wild_values_in_a_history(history, tmp_path):
    """What a hostile peer may have said: judged, with any verdict, or refused at that line; never a crash."""
    changes = []
    for i, (number, record, path, value) in enumerate(fields(history)):
        for other in VALUES[type(value)] if type(value) is int else VALUES[type(value)][i % 2 :: 2]:
            if other != value:
                line = json.dumps(changed(record, path, other)).encode() + b"\n"
                changes.append((number, b"".join([*history[:number], line, *history[number + 1 :]])))
        if len(path) == 1:
            rest = {k: v for k, v in record.items() if k != path[0]}
            changes.append((number, b"".join([*history[:number], json.dumps(rest).encode() + b"\n", *history[number + 1 :]])))
    assert len(changes) > 800
    for (number, _), complaints in zip(changes, judge_all(tmp_path, [text for _, text in changes])):
        bad = [c for c in complaints if "its scenario is not here" not in c]
        assert len(bad) <= 1
        if bad:  # the record itself, or the next, which is then too early
            assert int(bad[0].split(":")[0]) in (number + 1, number + 2), bad


def test_noise_in_bodies(history, tmp_path):
    """Headers and bodies with bytes changed at random, inside records that stay whole."""
    rng, texts = random.Random(8555), []
    for _ in range(600):
        lines = list(history)
        for _ in range(rng.choice((1, 2, 5))):
            number = rng.randrange(1, len(lines))
            record = json.loads(lines[number])
            texts_inside = [(path, value) for path, value in nodes(record) if isinstance(value, str)]
            inner = [(path, value) for path, value in texts_inside if path[0] not in ("kind", "from", "to")]
            if not inner:
                continue
            path, value = rng.choice(inner)
            at, length = rng.randrange(len(value) + 1), rng.choice((0, 1, 7, 40))
            piece = rng.choice(("", value[at : at + length] * 2, '"', "{", "[", "9" * 25, "-", "\\u0000", "%00", "invalid", "valid",
                                "processing"))
            value = value[:at] + piece + value[at + length :]
            lines[number] = json.dumps(changed(record, path, value)).encode() + b"\n"
        texts.append(b"".join(lines))
    judge_all(tmp_path, texts)


def test_long_history(tmp_path):
    """Tens of thousands of records, each with objects of its own: time grows with their number only."""
    lines = ['{"seq":1,"t":0,"kind":"run.start","version":1,"mode":"simulate","scenario":"x","speed":1,"epoch_ms":1893456000000}']
    for i in range(2, 20000, 2):
        url = f"https://ca.test/order/{i}"
        body = json.dumps({"status": "pending", "authorizations": [f"{url}/a", f"{url}/b"], "finalize": f"{url}/f"})
        request = {"seq": i, "t": i, "kind": "wire.request", "flow": i, "from": "client", "to": "ca", "method": "POST", "url": url}
        response = {"seq": i + 1, "t": i, "kind": "wire.response", "flow": i, "from": "ca", "to": "client", "status": 201}
        headers = [["Replay-Nonce", f"n{i}"], ["Location", url], ["Retry-After", "3"]]
        lines += [json.dumps(request | {"headers": [], "body": "{}"}), json.dumps(response | {"headers": headers, "body": body})]
    path = tmp_path / "history.jsonl"
    path.write_text("\n".join(lines) + "\n")
    assert timed("judge", path, soon_s=4 * SOON_S).returncode in (AS_EXPECTED, FAILED)
