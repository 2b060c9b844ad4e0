#!/usr/bin/python3
"""What a client's hook says, told to `acmedrill respond`. $DRILL_RESPOND is its management interface, $DRILL_CHALLENGE the type wanted."""

import json
import os
import sys
import urllib.request


def tell(call, **body):
    url = f"{os.environ['DRILL_RESPOND']}/{call}"
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10).close()


def provide(kind, name, token, value):
    """value: the key authorization; for dns-01 its digest."""
    if kind == "http-01":
        tell("add-http01", token=token, content=value)
    elif kind == "dns-01":
        tell("set-txt", host=f"_acme-challenge.{name.removeprefix('*.')}.", value=value)
    else:
        tell("add-tlsalpn01", host=name, content=value)


def main(words):
    wanted = os.environ["DRILL_CHALLENGE"]
    if not words:  # certbot
        provide(wanted, *(os.environ.get(f"CERTBOT_{part}", "") for part in ("DOMAIN", "TOKEN", "VALIDATION")))
    elif words[0] == "present":  # lego
        tell("set-txt", host=words[1], value=words[2])
    elif words[0] == "begin":  # uacme
        if words[1] != wanted:
            return 1
        provide(*words[1:5])
    elif words[0] == "deploy_challenge":  # dehydrated, with HOOK_CHAIN
        for i in range(1, len(words) - 2, 3):
            if wanted != "tls-alpn-01":
                provide(wanted, *words[i : i + 3])
    elif words[0] == "setup":  # mod_md
        provide("dns-01", words[1], "", words[2])
    elif words[0] in ("challenge-http-start", "challenge-dns-start"):  # acmetool
        kind = words[0].split("-")[1] + "-01"
        if kind != wanted:
            return 42
        if kind == "http-01":
            provide(kind, words[1], words[3], sys.stdin.read().strip())
        else:
            provide(kind, words[1], "", words[3])
    elif words[0] in ("challenge-http-stop", "challenge-dns-stop"):
        return 0
    elif words[0].startswith("challenge-"):
        return 42  # of acmetool: not mine
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
