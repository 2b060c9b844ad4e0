#!/usr/bin/python3
"""Answers http-01 on 127.0.0.1 from a folder: webroot.py FOLDER PORT. Prints "ready" when it listens; SIGTERM ends it."""

import http.server
import os
import re
import socket
import sys

PATH = re.compile(r"/\.well-known/acme-challenge/([A-Za-z0-9_-]{1,256})")


class Responder(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        match = PATH.fullmatch(self.path)
        try:
            with open(os.path.join(sys.argv[1], match.group(1)), "rb") as file:
                status, body = 200, file.read()
        except (AttributeError, OSError):
            status, body = 404, b""
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self):
        # http.server would look up the host's name here, which may ask a DNS server.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = self.server_address[:2]


with Server(("127.0.0.1", int(sys.argv[2])), Responder) as server:
    print("ready", flush=True)
    server.serve_forever()
