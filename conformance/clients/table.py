#!/usr/bin/python3
"""Which client gets which certificate from `acmedrill serve`, with `acmedrill respond` for its challenges, renews it, and revokes it:
the table of the README.

    conformance/clients/table.py [--program ACMEDRILL | --pebble DIR] [--keep DIR] [--npm DIR] [CLIENT...]

A cell says how far it came: "issued, renewed, revoked", each confirmed by the CA's own log. "-": no client can, or this one cannot, by
its documentation. "?": not installed. Capitals are a failure, and the exit status is 1. Every cell has a CA, responders and a folder of its
own; all on loopback.

--pebble DIR does the same with the `pebble` and `pebble-challtestsrv` of that folder, by Pebble's options, configuration file and
environment: /usr/bin for Debian's, or a folder with two links to acmedrill. What a client says is then all that is known."""

import argparse
import collections
import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from clients import CLIENTS, NAMES, Cell, Missing, free_port

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent))
PEBBLE = None  # a folder, to play with what it has


def impossible(challenge, kind):
    """RFC 8555 section 8.3, RFC 8737 section 3, RFC 8738 section 7."""
    return (kind == "wildcard" and challenge != "dns-01") or (kind == "address" and challenge == "dns-01")


@contextlib.contextmanager
def our_ca(folder, client, responders, cell):
    from serving import profile_file, serving

    profile = profile_file(folder, ip_identifiers=True, any_csr_version=True, certificate_lifetime=client.lifetime)
    options = ["--profile", profile, "--dns-server", f"127.0.0.1:{responders.ports['dns']}", "--tls-port", cell.ports["tls-alpn-01"]]
    with serving(folder, *options, "--history", folder / "history.jsonl", http_port=cell.ports["http-01"]) as server:
        yield server


@contextlib.contextmanager
def pebble(folder, _, responders, cell):
    """As a job starts it: a file, three variables, and a look at the directory until it is there."""
    certificate = {"certificate": str(folder / "trust.pem"), "privateKey": str(folder / "tls.key")}
    ports = {"httpPort": cell.ports["http-01"], "tlsPort": cell.ports["tls-alpn-01"]}
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder / "tls.key", "-out", folder / "trust.pem", "-days", "30"]
        + ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True,
        capture_output=True,
    )
    port = free_port()
    (folder / "pebble.json").write_text(json.dumps({"pebble": {"listenAddress": f"127.0.0.1:{port}", **certificate, **ports}}))
    environment = {**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"}
    command = [PEBBLE / "pebble", "-config", folder / "pebble.json", "-dnsserver", f"127.0.0.1:{responders.ports['dns']}"]
    with staying(command, folder / "pebble.log", env=environment):
        answers(port)
        yield Known(f"https://localhost:{port}/dir", folder / "trust.pem")


@contextlib.contextmanager
def challtestsrv(folder):
    ports = {word: free_port() for word in ("http-01", "https-01", "tls-alpn-01", "dns", "management")}
    folder.mkdir(parents=True)
    places = dict(zip(("http01", "https01", "tlsalpn01", "dns01", "management"), (f"127.0.0.1:{port}" for port in ports.values())))
    command = [PEBBLE / "pebble-challtestsrv", "-defaultIPv6", "", "-defaultIPv4", "127.0.0.1"]
    command += [word for name, place in places.items() for word in (f"-{name}", place)]
    with staying(command, folder / "log"):
        answers(ports["management"])
        yield Responders(ports)


Known = collections.namedtuple("Known", "directory_url trust")
Responders = collections.namedtuple("Responders", "ports")


@contextlib.contextmanager
def staying(command, log, **options):
    with open(log, "wb") as out:
        process = subprocess.Popen([str(word) for word in command], stdout=out, stderr=out, **options)
    try:
        yield
        assert process.poll() is None, f"{command[0]} ended by itself: {log.read_text()}"
    finally:
        process.kill()
        process.wait()


def answers(port):
    """Waits until somebody listens there."""
    end = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=30).close()
            return
        except ConnectionError:
            assert time.monotonic() < end, f"nobody listens on port {port}"
            time.sleep(0.05)


def served(folder, client, responders, cell):
    """How far the client came with a CA of its own."""
    done = []
    with (pebble if PEBBLE else our_ca)(folder, client, responders, cell) as server:
        cell.meet(server)
        try:
            client.issue(cell)
            assert PEBBLE or cell.n_issued(), "the client says that it has a certificate, the CA does not"
            done.append("issued")
            if hasattr(client, "renew"):
                before = PEBBLE or cell.n_issued()
                client.renew(cell)
                assert PEBBLE or cell.n_issued() > before or client.lifetime != "90d", "the client says that it renewed, the CA does not"
                done.append("renewed")
            if hasattr(client, "revoke"):
                client.revoke(cell)
                assert PEBBLE or cell.n_revoked() == 1, "the client says that it revoked, the CA does not"
                done.append("revoked")
        finally:
            cell.stop()
            client.done = done
    return ", ".join(done)


def play(folder, client, challenge, kind):
    """The cell's text."""
    from responding import responding

    if impossible(challenge, kind) or kind not in client.kinds:
        return "-"
    if not all(shutil.which(program) for program in client.programs):
        return "?"
    if PEBBLE and client.lifetime != "90d":
        return "not asked"  # our log tells when such a client has done its work
    folder.mkdir(parents=True)
    with challtestsrv(folder / "respond") if PEBBLE else responding(folder / "respond") as responders:
        ports = {**responders.ports, **{word: free_port() for word in client.listens}}
        cell = Cell(folder, challenge, kind, responders, ports)
        try:
            client.prepare(cell)
            return served(folder, client, responders, cell)
        except Missing:
            return "?"
        except (AssertionError, OSError, RuntimeError, subprocess.TimeoutExpired) as error:
            print(f"{type(client).__name__}, {challenge}, {kind}: {error}", file=sys.stderr)
            return ", ".join([*getattr(client, "done", []), "then FAILED"])
        finally:
            cell.running.clear()


def with_npm(folder):
    """Where acme-client of npm is, or will be."""
    modules = folder / "node_modules"
    if not (modules / "acme-client").is_dir() and shutil.which("npm"):
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--silent", "--prefix", str(folder), "acme-client"], capture_output=True, check=False)
    return str(modules)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build" / "release" / "acmedrill")
    parser.add_argument("--pebble", type=pathlib.Path, metavar="DIR", help="Pebble and its challtestsrv, of this folder, in our place")
    parser.add_argument("--keep", type=pathlib.Path, metavar="DIR", help="keep all files there")
    parser.add_argument("--npm", type=pathlib.Path, metavar="DIR", default=ROOT / "build" / "npm", help="where npm's acme-client is, or shall be installed")
    parser.add_argument("clients", nargs="*", metavar="CLIENT", help=f"of {', '.join(CLIENTS)}; all unless told")
    arguments = parser.parse_args()
    for name in arguments.clients:
        if name not in CLIENTS:
            parser.error(f"no client {name!r}: there are {', '.join(CLIENTS)}")
    global PEBBLE
    PEBBLE = arguments.pebble.resolve() if arguments.pebble else None
    if arguments.keep and arguments.keep.is_dir() and any(arguments.keep.iterdir()):
        parser.error(f"--keep: {arguments.keep} is not empty")
    os.environ["ACMEDRILL"] = str(arguments.program.resolve())
    wanted = arguments.clients or list(CLIENTS)
    if "npm acme-client" in wanted:
        os.environ["DRILL_NPM"] = with_npm(arguments.npm.resolve())
    failed = False
    with tempfile.TemporaryDirectory() as own:
        os.chmod(own, 0o755)  # apache serves as another user
        top = (arguments.keep or pathlib.Path(own)).resolve()
        print("| client | challenge |", " | ".join(NAMES), "|")
        print("|---" * (2 + len(NAMES)) + "|")
        for name in wanted:
            for challenge in CLIENTS[name].challenges:
                texts = [play(top / name / challenge / kind.replace(" ", "-"), CLIENTS[name](), challenge, kind) for kind in NAMES]
                failed = failed or any("FAILED" in text for text in texts)
                print(f"| {name} | {challenge} |", " | ".join(texts), "|", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
