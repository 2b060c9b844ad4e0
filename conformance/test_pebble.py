"""`acmedrill pebble` in the place of Pebble: the same files, variables and calls, and what clients and scripts see of them. What
the original can be asked is asked of it too, where it is installed."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import urllib.request

import pytest

from serving import ACMEDRILL, PATIENCE_S, Client, csr_der, until

ORIGINAL = shutil.which("pebble")
RETRY_LATER = (urllib.error.URLError, ConnectionError)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Pebble:
    """One that runs. What Client of serving.py asks of a server is here, too."""

    def __init__(self, process, port, management_port, log):
        self.process, self.port, self.log = process, port, log
        self.base = f"https://localhost:{port}"
        self.directory_url = f"{self.base}/dir"
        self.management = f"https://localhost:{management_port}"

    def tls(self):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    def get(self, url, data=None):
        """(status, body); HTTP errors are answers."""
        try:
            with urllib.request.urlopen(url, data, timeout=PATIENCE_S, context=self.tls()) as reply:
                return reply.status, reply.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def lines(self):
        return self.log.read_text().splitlines()


def program_of(folder, name):
    """The original, or a link of its name to ours: the name alone says what it is."""
    if name == "original":
        return ORIGINAL
    link = folder / "pebble"
    if not link.exists():
        link.symlink_to(pathlib.Path(ACMEDRILL).resolve())
    return str(link)


def certificate_of(folder):
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", certificate]
        + ["-days", "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True,
        capture_output=True,
    )
    return certificate, key


@contextlib.contextmanager
def pebble(folder, name="ours", options=(), environment=None, **config):
    certificate, key = certificate_of(folder)
    port, management_port = free_port(), free_port()
    settings = {
        "listenAddress": f"127.0.0.1:{port}",
        "managementListenAddress": f"127.0.0.1:{management_port}",
        "certificate": str(certificate),
        "privateKey": str(key),
        "httpPort": 5002,
        "tlsPort": 5001,
        **config,
    }
    (folder / "config.json").write_text(json.dumps({"pebble": settings}))
    log = folder / "log"
    variables = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_VA_ALWAYS_VALID": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"}
    with open(log, "wb") as out:
        process = subprocess.Popen(
            [program_of(folder, name), "-config", str(folder / "config.json"), *options],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **variables, **(environment or {})},
        )
    running = Pebble(process, port, management_port, log)
    try:

        def is_up():
            assert process.poll() is None, log.read_text()
            try:
                return running.get(running.directory_url)[0] == 200
            except RETRY_LATER:
                return False

        until(is_up, "the directory")
        yield running
        assert process.poll() is None, log.read_text()
        if name == "ours":
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0, log.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


both = pytest.mark.parametrize(
    "name", ["ours", pytest.param("original", marks=pytest.mark.skipif(not ORIGINAL, reason="pebble is not installed"))]
)


def issue(client, *names):
    order = client.order(*names)
    for i in range(len(order.authz_urls)):
        client.post(order.challenge(i)["url"], {}).ok()
    order.poll("ready")
    order.finalize(csr_der(names)).ok()
    url = order.poll("valid")["certificate"]
    reply = client.post(url).ok()
    return reply.body.decode(), reply


def serial_of(pem):
    run = subprocess.run(["openssl", "x509", "-noout", "-serial"], input=pem, text=True, capture_output=True, check=True)
    return run.stdout.strip().removeprefix("serial=")


@both
def test_the_words_that_scripts_wait_for(tmp_path, name):
    with pebble(tmp_path, name) as running:
        text = running.log.read_text()
        for word in (
            "Management interface listening on: 127.0.0.1:",
            f"Root CA certificate available at: {running.management.replace('localhost', '127.0.0.1')}/roots/0",
            f"Listening on: 127.0.0.1:{running.port}",
            f"ACME directory available at: https://127.0.0.1:{running.port}/dir",
        ):
            assert word in text
        assert all(line.startswith("Pebble 20") for line in running.lines())


@both
def test_certificates_and_their_state(tmp_path, name):
    with pebble(tmp_path, name) as running:
        client = Client(running)
        client.register()
        chain, _ = issue(client, "a.example.test")
        leaf = chain[: chain.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n"
        (tmp_path / "leaf.pem").write_text(leaf)
        for part in ("roots", "intermediates"):
            status, body = running.get(f"{running.management}/{part}/0")
            assert status == 200
            (tmp_path / f"{part}.pem").write_bytes(body)
        subprocess.run(
            ["openssl", "verify", "-CAfile", tmp_path / "roots.pem", "-untrusted", tmp_path / "intermediates.pem", tmp_path / "leaf.pem"],
            check=True,
            capture_output=True,
        )
        for part in ("root-keys", "intermediate-keys"):
            status, body = running.get(f"{running.management}/{part}/0")
            assert status == 200 and b"PRIVATE KEY" in body
            certificate = {"root-keys": "roots", "intermediate-keys": "intermediates"}[part]
            public = subprocess.run(["openssl", "pkey", "-pubout"], input=body, capture_output=True, check=True).stdout
            of_it = subprocess.run(
                ["openssl", "x509", "-noout", "-pubkey", "-in", tmp_path / f"{certificate}.pem"], capture_output=True, check=True
            ).stdout
            assert public == of_it
        serial = serial_of(leaf)
        for spelled in (serial, serial.lower()):
            status, body = running.get(f"{running.management}/cert-status-by-serial/{spelled}")
            state = json.loads(body)
            assert (status, state["Status"], state["Certificate"]) == (200, "Valid", leaf)
            assert int(state["Serial"], 16) == int(serial, 16)
        der = ssl.PEM_cert_to_DER_cert(leaf)
        from serving import b64

        client.post(client.directory["revokeCert"], {"certificate": b64(der), "reason": 4}).ok()
        state = json.loads(running.get(f"{running.management}/cert-status-by-serial/{serial}")[1])
        assert (state["Status"], state["Reason"]) == ("Revoked", 4)
        assert state["RevokedAt"].startswith("20")


@both
@pytest.mark.parametrize(
    "path, status",
    [("roots/1", 404), ("roots/x", 404), ("root-keys/7", 404), ("cert-status-by-serial/zz", 400), ("cert-status-by-serial/12", 404), ("x", 404)],
)
def test_what_is_not_there(tmp_path, name, path, status):
    with pebble(tmp_path, name) as running:
        assert running.get(f"{running.management}/{path}")[0] == status


MAC_KEYS = {"kid-1": "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"}


@both
def test_external_accounts_are_required(tmp_path, name):
    with pebble(tmp_path, name, externalAccountBindingRequired=True, externalAccountMACKeys=MAC_KEYS) as running:
        client = Client(running)
        assert client.directory["meta"]["externalAccountRequired"] is True
        client.register().refused(403, "externalAccountRequired")


@both
def test_blocked_names(tmp_path, name):
    with pebble(tmp_path, name, domainBlocklist=["blocked-domain.example"]) as running:
        client = Client(running)
        client.register()
        for value in ("blocked-domain.example", "www.blocked-domain.example"):
            client.post(client.directory["newOrder"], {"identifiers": [{"type": "dns", "value": value}]}).refused(400, "rejectedIdentifier")
        client.order("notblocked-domain.example")


@both
def test_strict(tmp_path, name):
    with pebble(tmp_path, name, options=["-strict"]) as running:
        client = Client(running)
        client.register()
        order = {"identifiers": [{"type": "dns", "value": "a.example.test"}]}
        client.post(client.directory["newOrder"], {**order, "resource": "new-order"}).refused(400, "malformed")
        order = client.order("a.example.test")
        url = order.challenge()["url"]
        client.post(url, {"keyAuthorization": "x"}).refused(400, "malformed")
        client.post(url, {}).ok()


def test_not_strict(tmp_path):
    with pebble(tmp_path) as running:
        client = Client(running)
        client.register()
        order = {"identifiers": [{"type": "dns", "value": "a.example.test"}]}
        client.post(client.directory["newOrder"], {**order, "resource": "new-order"}).ok(201)
        client.post(client.order("a.example.test").challenge()["url"], {"keyAuthorization": "x"}).ok()


@both
def test_variables(tmp_path, name):
    environment = {"PEBBLE_WFE_ORDERS_PER_PAGE": "2", "PEBBLE_ALTERNATE_ROOTS": "2", "PEBBLE_CHAIN_LENGTH": "2", "PEBBLE_AUTHZREUSE": "100"}
    with pebble(tmp_path, name, environment=environment) as running:
        client = Client(running)
        account = client.register().json()
        chain, reply = issue(client, "a.example.test")
        assert chain.count("BEGIN CERTIFICATE") == 3
        assert sum('rel="alternate"' in link for link in reply.headers.get_all("Link")) == 2
        assert running.get(f"{running.management}/roots/2")[0] == 200
        assert running.get(f"{running.management}/roots/3")[0] == 404
        again = client.order("a.example.test")
        assert again.authz()["status"] == "valid"
        client.order("b.example.test")
        client.order("c.example.test")
        page = client.post(account["orders"]).ok()
        assert len(page.json()["orders"]) == 2
        assert any('rel="next"' in link for link in page.headers.get_all("Link"))


@pytest.mark.parametrize("word,percent", [("0", 0), ("20", 20), ("33", 33), ("50", 50), ("99", 99), ("250", 99), ("x", 0), ("-5", 0)])
def test_refused_nonces(tmp_path, word, percent):
    """Where Pebble throws dice, the same requests are refused at every run, evenly spread; the refusal brings a good nonce."""
    with pebble(tmp_path, environment={"PEBBLE_WFE_NONCEREJECT": word}) as running:
        client = Client(running)
        client.register().ok(201)  # the first request
        for k in range(2, 22):
            reply = client.post(client.kid)
            if k * percent // 100 > (k - 1) * percent // 100:
                reply.refused(400, "badNonce")
            else:
                reply.ok()
        client.post(client.kid, nonce="AAAA").refused(400, "badNonce")  # bad ones are refused anyway


def test_urls_are_those_of_the_name_that_was_asked(tmp_path):
    with pebble(tmp_path) as running:
        for host in ("localhost", "127.0.0.1"):
            base = f"https://{host}:{running.port}"
            directory = json.loads(running.get(f"{base}/dir")[1])
            assert directory["newOrder"].startswith(base + "/")
        client = Client(running)
        running.directory_url = f"https://127.0.0.1:{running.port}/dir"
        client.register().ok(201)
        assert client.kid.startswith(f"https://127.0.0.1:{running.port}/")
        client.order("a.example.test")


def test_renewal_information_is_set(tmp_path):
    with pebble(tmp_path) as running:
        client = Client(running)
        client.register()
        chain, _ = issue(client, "a.example.test")
        for said in ('{"suggestedWindow": {"start": "2030-01-01T00:00:00Z", "end": "2030-01-02T00:00:00Z"}}', "no JSON at all"):
            body = json.dumps({"Certificate": chain, "ARIResponse": said}).encode()
            assert running.get(f"{running.management}/set-renewal-info/", body)[0] == 200
        assert running.get(f"{running.management}/set-renewal-info/", b"{}")[0] == 400


@both
def test_a_configuration_that_is_not_there(tmp_path, name):
    run = subprocess.run(
        [program_of(tmp_path, name), "-config", "nonesuch.json"], capture_output=True, text=True, timeout=PATIENCE_S, cwd=tmp_path
    )
    assert run.returncode == 1
    assert "nonesuch.json" in run.stdout + run.stderr


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"pebble": 1}', '{"pebble": {"listenAddress": "nowhere"}}', '{"pebble": {"httpPort": 70000}}', '{"pebble": {"certificate": "nonesuch"}}']
)
def test_bad_configurations(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    run = subprocess.run(
        [program_of(tmp_path, "ours"), "-config", "config.json"], capture_output=True, text=True, timeout=PATIENCE_S, cwd=tmp_path
    )
    assert run.returncode == 1, run
    assert len(run.stdout.splitlines()) == 2 and not run.stderr, run  # it starts, and says what is wrong


def test_unknown_flags(tmp_path):
    for words in (["-nonesuch"], ["extra"]):
        run = subprocess.run([program_of(tmp_path, "ours"), *words], capture_output=True, text=True, timeout=PATIENCE_S)
        assert run.returncode in (1, 2) and run.stderr, run
