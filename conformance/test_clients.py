"""A few cells of conformance/clients/table.py, one of each kind of client and of names; all of them are the README's table."""

import os
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "clients"))

import clients  # noqa: E402
import table  # noqa: E402

CELLS = [
    ("certbot", "dns-01", "wildcard"),
    ("lego", "tls-alpn-01", "two names"),
    ("uacme", "http-01", "address"),
    ("uacme", "tls-alpn-01", "one name"),
    ("acme-tiny", "http-01", "two names"),
    ("lacme", "http-01", "one name"),
    ("python3-acme", "tls-alpn-01", "address"),
    ("python3-acme", "dns-01", "wildcard"),
    ("ruby-acme-client", "http-01", "two names"),
    ("npm acme-client", "tls-alpn-01", "one name"),
]


@pytest.mark.parametrize("name, challenge, kind", CELLS, ids=", ".join)
def test_a_client_goes_all_the_way(name, challenge, kind, tmp_path):
    client = clients.CLIENTS[name]()
    text = table.play(tmp_path / "cell", client, challenge, kind)
    if text == "?":
        pytest.skip(f"{name} is not installed")
    revokes = ", revoked" if hasattr(client, "revoke") else ""
    assert text == f"issued, renewed{revokes}"


class Idle(clients.Client):
    def issue(self, cell):
        """Says that it did."""


class Stubborn(clients.Python):
    """Gets a certificate; renews and revokes nothing."""

    def renew(self, cell):
        pass


class Careless(clients.Python):
    def renew(self, cell):
        clients.Python.issue(self, cell)

    def revoke(self, cell):
        pass


@pytest.mark.parametrize(
    "client, text",
    [(Idle, "then FAILED"), (Stubborn, "issued, then FAILED"), (Careless, "issued, renewed, then FAILED")],
)
def test_what_a_client_only_says_is_a_failure(client, text, tmp_path):
    assert table.play(tmp_path / "cell", client(), "http-01", "one name") == text


def test_a_client_that_is_not_there_is_a_question_mark(tmp_path):
    client = clients.Lego()
    client.programs = ("no-such-client",)
    assert table.play(tmp_path / "cell", client, "http-01", "one name") == "?"


def test_what_no_client_can(tmp_path):
    assert table.play(tmp_path / "cell", clients.Uacme(), "http-01", "wildcard") == "-"
    assert table.play(tmp_path / "cell", clients.Uacme(), "dns-01", "address") == "-"
    assert os.listdir(tmp_path) == []
