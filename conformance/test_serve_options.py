"""`acmedrill serve`: its command line, and where it listens."""

import socket
import subprocess

import pytest
import serving
from cryptography import x509
from serving import ACMEDRILL, ROOT, Client


@pytest.fixture
def target():
    with serving.target_running() as target:
        yield target


def run_serve(*options):
    return subprocess.run(
        [ACMEDRILL, "serve", *map(str, options)], capture_output=True, text=True, timeout=serving.PATIENCE_S, cwd=ROOT
    )


@pytest.mark.parametrize(
    "options,status,said",
    [
        (["--profile", "boulder", "--scenario", "order/plain"], 2, "either --profile or --scenario"),
        (["--scenario", "http-01/status-404"], 2, "name one"),
        (["--profile", "bolder"], 3, "boulder"),
        (["--scenario", "order/plane"], 4, "order/plane"),
        (["--port", "70000"], 2, "70000"),
        (["--port", "x"], 2, "whole number"),
        (["--port", "-1"], 2, "whole number"),
        (["--http-port", "0"], 2, "whole number"),
        (["--status-port", "x"], 2, "whole number"),
        (["--speed", "0"], 2, "whole number"),
        (["--address", "example.test", "--port", "0"], 5, "cannot listen"),
        (["--port", "0", "--trust", "/nowhere/trust.pem"], 5, "/nowhere/trust.pem"),
        (["--port", "0", "--history", "/nowhere/history.jsonl"], 5, "/nowhere/history.jsonl"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else None,
)
def test_options_that_do_not_work(options, status, said, tmp_path):
    extra = [] if "--trust" in options else ["--trust", tmp_path / "trust.pem"]
    run = run_serve(*options, *extra)
    assert run.returncode == status, run
    assert said in run.stderr, run.stderr
    assert run.stdout == ""


@pytest.mark.parametrize(
    "text,said",
    [
        ('{ "title": "x",\n  "retri": "none" }', 'my-ca.json:2:3: unknown key in a profile "retri" - did you mean "retry"?'),
        ('{ "title": "x",\n  "retry": 5 }', "my-ca.json:2:12: "),
        ('{ "title": ', "my-ca.json:1:"),
        ('{ "title": "x", "base": "bolder" }', 'my-ca.json:1:25: unknown profile "bolder" - did you mean "boulder"?'),
        ('{ "title": "x", "base": "./my-ca.json" }', "my-ca.json:1:25: "),
        ("[]", "my-ca.json:1:1: "),
        (None, "my-ca.json: cannot be read"),
    ],
)
def test_files_of_profiles_that_are_none(text, said, tmp_path):
    path = tmp_path / "my-ca.json"
    if text is not None:
        path.write_text(text)
    run = run_serve("--profile", path, "--port", "0", "--trust", tmp_path / "trust.pem")
    assert run.returncode == 3, run
    assert said in run.stderr, run.stderr
    assert run.stdout == ""


def test_a_profile_from_a_file(tmp_path, monkeypatch):
    monkeypatch.delenv("ACMEDRILL_PROFILES", raising=False)
    path = tmp_path / "my-ca.json"
    path.write_text('{ "title": "only DNS", "base": "boulder", "challenges": ["dns-01"], "orders_per_page": 2 }')
    with serving.serving(tmp_path, "--profile", path) as server:
        assert " a CA like my-ca " in server.head[0]
        client = Client(server)
        client.register().ok(201)
        assert [c["type"] for c in client.order("a.example.test").authz()["challenges"]] == ["dns-01"]
        client.close()


def test_port_that_is_taken(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        run = run_serve("--port", taken.getsockname()[1], "--trust", tmp_path / "trust.pem")
    assert run.returncode == 5, run
    assert "in use" in run.stderr


def test_status_port_that_is_taken(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = run_serve("--port", 0, "--status-port", port, "--trust", tmp_path / "trust.pem")
    assert run.returncode == 5, run
    assert f"port {port}" in run.stderr and "in use" in run.stderr


def test_the_seed_decides_the_keys(tmp_path):
    roots, nonces = [], []
    for folder in ("first", "second"):
        with serving.serving(tmp_path / folder, "--seed", 7) as server:
            assert server.head[0].endswith("seed 7")
            roots.append(x509.load_pem_x509_certificate(server.trust.read_bytes()).public_key().public_numbers())
            nonces.append(Client(server).nonce())
    assert roots[0] == roots[1] and nonces[0] == nonces[1]


@pytest.mark.parametrize("address,host", [("::1", "[::1]"), ("0.0.0.0", "localhost"), ("127.0.0.2", "127.0.0.2")])
def test_other_addresses(address, host, target, tmp_path):
    with serving.serving(tmp_path, "--address", address, "--speed", "10", http_port=target.port) as server:
        assert server.directory_url == f"https://{host}:{server.port}/dir"
        client = Client(server)
        client.register().ok(201)
        order = client.order("a.example.test")
        order.prove_all(target)
        client.close()
