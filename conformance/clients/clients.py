"""How each client is told to get a certificate, to renew it and to revoke it. A class a client: issue(), and what it can of renew() and
revoke(). A method that returns has done it, as far as the client says; the table asks the CA."""

import contextlib
import http.server
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
os.environ.setdefault("DRILL_NPM", str(HERE.parent.parent / "build" / "npm" / "node_modules"))  # see table.py
LIMIT_S = 90
NAMES = {
    "one name": ["a.example.test"],
    "wildcard": ["*.example.test"],
    "two names": ["a.example.test", "b.example.test"],
    "address": ["127.0.0.1"],
}
DNS_NAMES = ("one name", "wildcard", "two names")


class Missing(Exception):
    """The client is not installed."""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Cell:
    """One client, one challenge type, one kind of names: its folder, its CA and its responders."""

    def __init__(self, folder, challenge, kind, responders, ports):
        self.folder, self.challenge, self.kind, self.names, self.ports = folder, challenge, kind, NAMES[kind], ports
        self.hook = folder / "hook"
        self.hook.write_text(f'#!/bin/sh\nexec {sys.executable} {HERE}/hook.py "$@"\n')
        self.hook.chmod(0o755)
        self.environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        self.environment |= {"HOME": str(folder), "DRILL_CHALLENGE": challenge, "DRILL_RESPOND": f"http://127.0.0.1:{responders.ports['management']}"}
        self.running = []

    def meet(self, server):
        self.directory, self.trust = server.directory_url, str(server.trust)
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "LEGO_CA_CERTIFICATES", "NODE_EXTRA_CA_CERTS"):
            self.environment[name] = self.trust

    def run(self, *words, **environment):
        words = [str(word) for word in words]
        with open(self.folder / "client.log", "ab") as log:
            log.write(("$ " + " ".join(words) + "\n").encode())
            run = subprocess.run(
                words,
                cwd=self.folder,
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=LIMIT_S,
            )
            log.write(run.stdout)
        if run.returncode:
            raise RuntimeError(f"{words[0]} ended with {run.returncode}: {run.stdout.decode(errors='replace')[-400:]}")

    def start(self, *words, **environment):
        """A program that stays until the cell is done."""
        log = open(self.folder / "client.log", "ab")  # noqa: SIM115
        environment = {**self.environment, **environment}
        words = [str(word) for word in words]
        self.running.append(
            subprocess.Popen(words, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        )

    def run_trusting(self, *words, **environment):
        """For what trusts /etc/ssl/certs alone: a mount namespace where our root is all there is."""
        trust = self.folder / "trust"
        trust.mkdir(exist_ok=True)
        for name in ("ca-certificates.crt", "root.pem"):
            shutil.copy(self.trust, trust / name)
        subprocess.run(["openssl", "rehash", trust], check=True, capture_output=True)
        own = ["unshare", "--mount"] + ([] if os.getuid() == 0 else ["--map-root-user"])
        self.run(*own, "sh", "-c", 'mount --bind trust /etc/ssl/certs && exec "$@"', "sh", *words, **environment)

    def each(self, option):
        return [word for name in self.names for word in (option, name)]

    def events(self):
        return [json.loads(line) for line in (self.folder / "history.jsonl").read_text().splitlines()]

    def n_issued(self):
        """As the CA's own log has it."""
        return sum(e["kind"] == "state.change" and e["object"] == "order" and e["now"] == "valid" for e in self.events())

    def n_revoked(self):
        events = self.events()
        flows = {e["flow"] for e in events if e["kind"] == "wire.request" and e["url"].endswith("/revoke-cert")}
        return sum(e["kind"] == "wire.response" and e["flow"] in flows and e["status"] == 200 for e in events)

    def until_issued(self, n):
        end = time.monotonic() + LIMIT_S
        while self.n_issued() < n:
            for process in self.running:
                if process.poll() is not None:
                    raise RuntimeError(f"{process.args[0]} ended with {process.returncode}: {(self.folder / 'client.log').read_text()[-400:]}")
            if time.monotonic() > end:
                raise RuntimeError(f"{self.n_issued()} certificates in {LIMIT_S} s, not {n}")
            time.sleep(0.2)

    def stop(self):
        for process in self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class Client:
    challenges = ("http-01", "dns-01")
    kinds = DNS_NAMES
    programs = ()
    listens = ()  # challenges for which the client itself listens
    lifetime = "90d"  # of the certificates; seconds for a daemon that renews when it thinks fit

    def prepare(self, cell):
        """Before the CA starts: what listens where ports say."""


class Certbot(Client):
    programs = ("certbot",)

    def common(self, cell):
        folders = [word for part in ("config", "work", "logs") for word in (f"--{part}-dir", cell.folder / part)]
        return ["--server", cell.directory, *folders, "--non-interactive"]

    def issue(self, cell):
        cell.run(
            *("certbot", "certonly", "--manual", "--preferred-challenges", cell.challenge.partition("-")[0], "--manual-auth-hook", cell.hook),
            *(*self.common(cell), "--agree-tos", "--register-unsafely-without-email", "--cert-name", "drill", *cell.each("-d")),
        )

    def renew(self, cell):
        cell.run("certbot", "renew", "--force-renewal", "--no-random-sleep-on-renew", *self.common(cell))

    def revoke(self, cell):
        cell.run("certbot", "revoke", "--cert-name", "drill", "--no-delete-after-revoke", "--reason", "superseded", *self.common(cell))


class Lego(Client):
    challenges = ("http-01", "dns-01", "tls-alpn-01")
    programs = ("lego",)
    listens = ("http-01", "tls-alpn-01")

    def lego(self, cell, *words, names=None):
        how = {
            "http-01": ["--http", "--http.port", f"127.0.0.1:{cell.ports['http-01']}"],
            "tls-alpn-01": ["--tls", "--tls.port", f"127.0.0.1:{cell.ports['tls-alpn-01']}"],
            "dns-01": ["--dns", "exec", "--dns.disable-cp", "--dns.resolvers", f"127.0.0.1:{cell.ports['dns']}"],
        }[cell.challenge]
        common = ["--path", cell.folder / "lego", "--server", cell.directory, "--email", "drill@example.test", "--accept-tos"]
        settings = {"EXEC_PATH": str(cell.hook), "EXEC_POLLING_INTERVAL": "1", "EXEC_SEQUENCE_INTERVAL": "1"}
        cell.run("lego", *common, *how, *(names or cell.each("-d")), *words, **settings)

    def issue(self, cell):
        self.lego(cell, "run")

    def renew(self, cell):
        self.lego(cell, "renew", "--days", "1000", "--no-random-sleep")

    def revoke(self, cell):
        self.lego(cell, "revoke", "--reason", "4", names=["-d", cell.names[0]])


class Uacme(Client):
    """tls-alpn-01 by its own responder, ualpn."""

    challenges = ("http-01", "dns-01", "tls-alpn-01")
    kinds = tuple(NAMES)
    programs = ("uacme", "unshare")
    listens = ("tls-alpn-01",)

    def prepare(self, cell):
        self.hook = cell.hook
        if cell.challenge != "tls-alpn-01":
            return
        if not shutil.which("ualpn"):
            raise Missing
        socket_path = cell.folder / "ualpn.sock"
        cell.start(
            *("ualpn", "-v", "-4", "-b", f"127.0.0.1@{cell.ports['tls-alpn-01']}", "-c", "127.0.0.1@9", "-n", "1"),
            *("-s", socket_path, "-p", cell.folder / "ualpn.pid", "-l", cell.folder / "ualpn.log", "-S", "600"),
        )
        self.hook = cell.folder / "ualpn-hook"
        self.hook.write_text(
            "#!/bin/sh\n"
            '[ "$2" = tls-alpn-01 ] || exit 1\n'
            '[ "$1" = begin ] && line="auth $3 $5" || line="unauth $3"\n'
            f'[ "$(echo "$line" | ualpn -s {socket_path})" = OK ]\n'
        )
        self.hook.chmod(0o755)

    def uacme(self, cell, *words):
        cell.run_trusting("uacme", "-v", "-c", cell.folder / "uacme", "-a", cell.directory, "-t", "EC", "-h", self.hook, *words)

    def issue(self, cell):
        self.uacme(cell, "-y", "new")
        self.uacme(cell, "-o", "issue", *cell.names)

    def renew(self, cell):
        self.uacme(cell, "-o", "-f", "issue", *cell.names)

    def revoke(self, cell):
        self.uacme(cell, "revoke", cell.folder / "uacme" / cell.names[0].removeprefix("*.") / "cert.pem")


class Dehydrated(Client):
    """tls-alpn-01 as its documentation says: it makes the certificates, something of ours serves them."""

    challenges = ("http-01", "dns-01", "tls-alpn-01")
    programs = ("dehydrated", "curl")
    listens = ("tls-alpn-01",)

    def prepare(self, cell):
        if cell.challenge == "tls-alpn-01":
            serve_alpn(cell.folder / "alpn-certs", cell.ports["tls-alpn-01"])

    def dehydrated(self, cell, *words):
        cell.run("dehydrated", "--config", cell.folder / "config", *words)

    def issue(self, cell):
        settings = {"CA": cell.directory, "BASEDIR": cell.folder, "HOOK": cell.hook, "HOOK_CHAIN": "yes", "CHALLENGETYPE": cell.challenge}
        settings |= {"KEY_ALGO": "prime256v1", "WELLKNOWN": cell.folder / "webroot"}
        (cell.folder / "webroot").mkdir()
        (cell.folder / "config").write_text("".join(f"{name}='{value}'\n" for name, value in settings.items()))
        self.names = [*cell.each("--domain"), "--alias", "drill"]
        self.dehydrated(cell, "--register", "--accept-terms")
        self.dehydrated(cell, "--cron", "--no-lock", *self.names)

    def renew(self, cell):
        self.dehydrated(cell, "--cron", "--no-lock", "--force", *self.names)

    def revoke(self, cell):
        self.dehydrated(cell, "--revoke", cell.folder / "certs" / "drill" / "cert.pem")


class Lacme(Client):
    challenges = ("http-01",)
    programs = ("lacme", "lacme-accountd", "unshare")
    listens = ("http-01",)

    def lacme(self, cell, *words):
        cell.run_trusting("lacme", f"--config={cell.folder}/lacme.conf", *words)

    def issue(self, cell):
        cell.run("openssl", "genpkey", "-algorithm", "RSA", "-out", "account.pem")
        cell.run("openssl", "genpkey", "-algorithm", "RSA", "-out", "own.key")
        (cell.folder / "accountd.conf").write_text(f"privkey = file:{cell.folder}/account.pem\n")
        names = ",".join(f"DNS:{name}" for name in cell.names)
        (cell.folder / "certs.conf").write_text(
            f"[drill]\ncertificate-key = {cell.folder}/own.key\ncertificate = {cell.folder}/own.crt\nsubject = /CN={cell.names[0]}\n"
            f"subjectAltName = {names}\nCAfile =\n"
        )
        (cell.folder / "lacme.conf").write_text(
            f"config-certs = {cell.folder}/certs.conf\n"
            f"[client]\nuser =\ngroup =\nserver = {cell.directory}\n"
            f"[webserver]\nuser =\ngroup =\nlisten = 127.0.0.1:{cell.ports['http-01']}\n"
            f"[accountd]\nconfig = {cell.folder}/accountd.conf\n"
        )
        self.lacme(cell, "account", "--register", "--tos-agreed", "mailto:drill@example.test")
        self.lacme(cell, "newOrder")

    def renew(self, cell):
        self.lacme(cell, "newOrder", "--force")

    def revoke(self, cell):
        self.lacme(cell, "revokeCert", cell.folder / "own.crt")


class Acmetool(Client):
    """Renews in the last third of a lifetime, and by no option earlier. The revoke command of 0.2.2 ends with 0 and asks the CA for nothing."""

    programs = ("acmetool",)
    lifetime = "12s"

    def acmetool(self, cell, *words):
        state = cell.folder / "state"
        options = ["--state", state, "--hooks", cell.folder / "hooks", "--batch", "--xlog.severity=debug", "--response-file", cell.folder / "responses"]
        cell.run("acmetool", *options, *words)

    def issue(self, cell):
        (cell.folder / "hooks").mkdir()
        shutil.copy(cell.hook, cell.folder / "hooks" / "drill")
        terms = cell.directory.removesuffix("/dir") + "/terms"
        answers = {"acme-enter-email": "drill@example.test", f"acme-agreement:{terms}": True}
        (cell.folder / "responses").write_text(json.dumps(answers))
        (cell.folder / "state" / "conf").mkdir(parents=True)
        (cell.folder / "state" / "conf" / "target").write_text(
            f'request:\n  provider: {cell.directory}\n  key:\n    type: ecdsa\n  challenge:\n    http-self-test: false\n'
        )
        self.acmetool(cell, "want", *cell.names)

    def renew(self, cell):
        time.sleep(10)
        self.acmetool(cell, "reconcile")


class AcmeTiny(Client):
    challenges = ("http-01",)
    kinds = ("one name", "two names")
    programs = ("acme-tiny", "openssl")
    listens = ("http-01",)

    def prepare(self, cell):
        serve_files(cell.folder / "webroot", cell.ports["http-01"])

    def issue(self, cell):
        cell.run("openssl", "genrsa", "-out", "account.key", "2048")
        names = ",".join(f"DNS:{name}" for name in cell.names)
        cell.run(
            *("openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "own.key", "-out", "own.csr"),
            *("-subj", "/", "-addext", f"subjectAltName={names}"),
        )
        self.renew(cell)

    def renew(self, cell):
        cell.run(
            *("acme-tiny", "--account-key", "account.key", "--csr", "own.csr", "--acme-dir", "webroot", "--disable-check"),
            *("--directory-url", cell.directory),
        )


class Caddy(Client):
    """A daemon: renews in the last third of a lifetime; revokes nothing by command."""

    challenges = ("http-01", "tls-alpn-01")
    kinds = ("one name", "two names")
    programs = ("caddy",)
    listens = challenges
    lifetime = "12s"
    n_certificates = 1  # one a name

    def issue(self, cell):
        off = {"disabled": True}
        challenges = {
            "http": {"alternate_port": cell.ports["http-01"]} if cell.challenge == "http-01" else off,
            "tls-alpn": {"alternate_port": cell.ports["tls-alpn-01"]} if cell.challenge == "tls-alpn-01" else off,
        }
        issuer = {"module": "acme", "ca": cell.directory, "email": "drill@example.test", "challenges": challenges}
        issuer["trusted_roots_pem_files"] = [cell.trust]
        automation = {"policies": [{"subjects": cell.names, "issuers": [issuer]}], "renew_interval": "1s", "storage_clean_interval": "1h"}
        site = {"listen": [f"127.0.0.1:{free_port()}"], "routes": [{"match": [{"host": cell.names}], "handle": [{"handler": "static_response"}]}]}
        http_app = {"http_port": cell.ports["http-01"], "https_port": free_port(), "servers": {"site": site}}
        if cell.challenge == "http-01":
            http_app["servers"]["plain"] = {"listen": [f"127.0.0.1:{cell.ports['http-01']}"], "automatic_https": {"disable_redirects": True}}
        config = {"admin": {"disabled": True}, "storage": {"module": "file_system", "root": str(cell.folder / "storage")}}
        config["apps"] = {"tls": {"certificates": {"automate": cell.names}, "automation": automation}, "http": http_app}
        (cell.folder / "caddy.json").write_text(json.dumps(config))
        cell.start("caddy", "run", "--config", cell.folder / "caddy.json")
        self.n_certificates = len(cell.names)
        cell.until_issued(self.n_certificates)

    def renew(self, cell):
        cell.until_issued(2 * self.n_certificates)


class ModMd(Client):
    """apache's mod_md, a daemon: renews in the last third of a lifetime; revokes nothing. Listens itself where the challenge says so."""

    challenges = ("http-01", "dns-01", "tls-alpn-01")
    programs = ("apache2",)
    listens = ("http-01", "tls-alpn-01")
    lifetime = "12s"

    def issue(self, cell):
        modules = pathlib.Path("/usr/lib/apache2/modules")
        if not (modules / "mod_md.so").exists():
            raise Missing
        wanted = ("mpm_event", "authz_core", "ssl", "md", "socache_shmcb")
        http, https = cell.ports["http-01"], cell.ports["tls-alpn-01"]
        own = {challenge: cell.challenge == challenge for challenge in self.listens}
        http = http if own["http-01"] else free_port()
        https = https if own["tls-alpn-01"] else free_port()
        names = " ".join(cell.names)
        lines = [
            *(f"LoadModule {name}_module {modules}/mod_{name}.so" for name in wanted),
            f"ServerRoot {cell.folder}",
            f"DefaultRuntimeDir {cell.folder}",
            f"PidFile {cell.folder}/apache.pid",
            f"ErrorLog {cell.folder}/apache.log",
            "LogLevel warn md:debug",
            "ServerName localhost",
            *(["User www-data", "Group www-data"] if os.getuid() == 0 else []),
            f"Listen 127.0.0.1:{http} http",
            f"Listen 127.0.0.1:{https} https",
            "Protocols http/1.1 acme-tls/1",
            f"MDStoreDir {cell.folder}/md",
            f"MDCertificateAuthority {cell.directory}",
            f"MDCACertificateFile {cell.trust}",
            "MDCertificateAgreement accepted",
            "MDContactEmail drill@example.test",
            f"MDCAChallenges {cell.challenge}",
            f"MDPortMap http:{http} https:{https}",
            f"MDChallengeDns01 {cell.hook}",
            "MDPrivateKeys secp256r1",
            "MDRetryDelay 5s",
            f"<MDomain {names}>",
            "MDMembers manual",
            "MDRenewMode always",
            "</MDomain>",
            f"<VirtualHost 127.0.0.1:{https}>",
            f"ServerName {cell.names[0].replace('*', 'w')}",
            f"ServerAlias {names}",
            "SSLEngine on",
            "</VirtualHost>",
        ]
        (cell.folder / "apache.conf").write_text("\n".join(lines) + "\n")
        self.until(cell, 1)

    def until(self, cell, n):
        cell.start("apache2", "-X" if os.getuid() else "-DFOREGROUND", "-f", cell.folder / "apache.conf")
        cell.until_issued(n)
        time.sleep(1)

    def renew(self, cell):
        """What was fetched is used from the next start on, and when it is due is decided then; the next look is hours away."""
        os.killpg(cell.running.pop().pid, signal.SIGTERM)
        time.sleep(12)
        self.until(cell, 2)


class Library(Client):
    """A library, and a small program that drives it."""

    program = ()

    def issue(self, cell):
        cell.run(*self.program, cell.directory, cell.challenge, "issue", *cell.names)

    def renew(self, cell):
        self.issue(cell)

    def revoke(self, cell):
        cell.run(*self.program, cell.directory, cell.challenge, "revoke", *cell.names)


class Python(Library):
    challenges = ("http-01", "dns-01", "tls-alpn-01")
    kinds = tuple(NAMES)
    program = (sys.executable, HERE / "python3-acme.py")

    def prepare(self, cell):
        if subprocess.run([sys.executable, "-c", "import acme.client"], capture_output=True, check=False).returncode:
            raise Missing


class Ruby(Library):
    programs = ("ruby",)
    program = ("ruby", HERE / "ruby-acme-client.rb")

    def prepare(self, cell):
        if subprocess.run(["ruby", "-e", 'require "acme-client"'], capture_output=True, check=False).returncode:
            raise Missing


class Npm(Library):
    challenges = ("http-01", "dns-01", "tls-alpn-01")
    programs = ("node",)
    program = ("node", HERE / "npm-acme-client.js")

    def prepare(self, cell):
        if not (pathlib.Path(os.environ["DRILL_NPM"]) / "acme-client").is_dir():
            raise Missing


CLIENTS = {
    "certbot": Certbot,
    "lego": Lego,
    "uacme": Uacme,
    "dehydrated": Dehydrated,
    "lacme": Lacme,
    "acmetool": Acmetool,
    "acme-tiny": AcmeTiny,
    "caddy": Caddy,
    "mod_md": ModMd,
    "python3-acme": Python,
    "ruby-acme-client": Ruby,
    "npm acme-client": Npm,
}

# --- for clients that leave files where a web server shall find them ---


def serve_files(folder, port):
    folder.mkdir(exist_ok=True)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            path = folder / pathlib.PurePath(self.path).name
            body = path.read_bytes() if path.is_file() else b""
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def serve_alpn(folder, port):
    """NAME.crt.pem and NAME.key.pem by SNI, for acme-tls/1."""
    listener = socket.create_server(("127.0.0.1", port))

    def by_name(connection, name, _):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["acme-tls/1"])
        context.load_cert_chain(folder / f"{name}.crt.pem", folder / f"{name}.key.pem")
        connection.context = context

    def serve():
        while True:
            peer, _ = listener.accept()
            outer = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            outer.set_alpn_protocols(["acme-tls/1"])
            outer.sni_callback = by_name
            try:
                outer.wrap_socket(peer, server_side=True).close()
            except (OSError, ssl.SSLError):
                peer.close()

    threading.Thread(target=serve, daemon=True).start()
