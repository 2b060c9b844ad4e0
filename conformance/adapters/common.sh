# shellcheck shell=bash
# What the adapters in clients/ and servers/ share; sourced, never run. README.md has the contract.

# cannot WORDS: this adapter cannot do what was asked; the harness counts it as skipped.
cannot()
{
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 77
}

# need PROGRAM...: every program is installed, or exit 77.
need()
{
    local program
    for program; do
        command -v "$program" >/dev/null || cannot "$program is not installed"
    done
}

# packaged_version PACKAGE: for programs that do not know their own version.
packaged_version()
{
    local version
    version=$(dpkg-query -W -f '${Version}' "$1" 2>/dev/null) || version=unknown
    version=${version%-*}
    printf '%s' "${version%%+*}"
}

# json_text TEXT: as a JSON string. Control characters do not occur in paths and versions.
json_text()
{
    local text=${1//\\/\\\\}
    printf '"%s"' "${text//\"/\\\"}"
}

# http_01_only: exits 77 unless http-01 is among ACMEDRILL_CHALLENGES.
http_01_only()
{
    [[ ",$ACMEDRILL_CHALLENGES," == *,http-01,* ]] || cannot "does http-01 only, but $ACMEDRILL_CHALLENGES was asked for"
}

# no_wildcards: exits 77 when a name is one: http-01 and tls-alpn-01 cannot prove it.
no_wildcards()
{
    [[ ",$ACMEDRILL_NAMES" != *,\*.* ]] || cannot "a wildcard needs dns-01"
}

# no_addresses: exits 77 when a name is an IP address.
no_addresses()
{
    local name
    for name in "${names[@]}"; do
        [[ ! $name =~ ^[0-9.]+$|: ]] || cannot "$name: does no IP addresses"
    done
}

# given NAME...: each ACMEDRILL_NAME has a value; else the harness, not the target, did something wrong.
given()
{
    local name
    for name in "${@/#/ACMEDRILL_}"; do
        [ -n "${!name-}" ] && continue
        printf '%s: %s is not set\n' "${0##*/}" "$name" >&2
        exit 2
    done
}

# client_ready: the client's surroundings: names as an array, everything it writes below ACMEDRILL_STATE, nothing left behind.
client_ready()
{
    given DIRECTORY TRUST NAMES CHALLENGES HTTP_PORT STATE OUT DEADLINE
    IFS=, read -r -a names <<<"$ACMEDRILL_NAMES"
    export HOME=$ACMEDRILL_STATE TMPDIR=$ACMEDRILL_STATE/tmp
    unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
    cd "$ACMEDRILL_STATE" || exit 2
    mkdir tmp
    children=()
    trap '[ ${#children[@]} = 0 ] || kill "${children[@]}" 2>/dev/null || :' EXIT
    trap 'exit 1' TERM INT HUP
}

# in_time PROGRAM...: runs it for at most ACMEDRILL_DEADLINE seconds; every failure of a client is "gave up" (exit 1).
# timeout gives it a process group, so that what the client started ends with it, at the deadline and when we are stopped.
in_time()
{
    timeout --kill-after=0.5 "$ACMEDRILL_DEADLINE" "$@" </dev/null &
    children+=($!)
    wait $! || exit 1
    unset "children[-1]"
}

# serve_webroot FOLDER: answers http-01 from FOLDER on ACMEDRILL_HTTP_PORT until this script ends.
serve_webroot()
{
    local responder
    mkdir -p "$1"
    # shellcheck disable=SC2154  # each adapter sets $adapters before it sources this file
    exec {responder}< <(exec /usr/bin/python3 "$adapters/webroot.py" "$1" "$ACMEDRILL_HTTP_PORT")
    children+=($!)
    read -r -u "$responder" || cannot "nothing can listen on port $ACMEDRILL_HTTP_PORT"
}

# free_port: a TCP port of 127.0.0.1 that nobody listens on now.
free_port()
{
    /usr/bin/python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# make_tls FOLDER: ca.pem, and tls.pem and tls.key for 127.0.0.1 and localhost below it.
make_tls()
{
    local subject=/CN=localhost key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30"
    # shellcheck disable=SC2086  # $key is a list of words
    openssl req -x509 $key -subj "/CN=acmedrill adapter root" -keyout "$1/ca.key" -out "$1/ca.pem" \
        -addext keyUsage=critical,keyCertSign,cRLSign 2>"$1/openssl.log" &&
        openssl req -new $key -subj "$subject" -keyout "$1/tls.key" -out "$1/tls.csr" 2>>"$1/openssl.log" &&
        openssl x509 -req -in "$1/tls.csr" -CA "$1/ca.pem" -CAkey "$1/ca.key" -CAcreateserial -days 30 -out "$1/tls.pem" \
            -extfile <(printf '%s\n' 'subjectAltName=DNS:localhost,IP:127.0.0.1' 'basicConstraints=CA:FALSE' \
                'extendedKeyUsage=serverAuth' 'authorityKeyIdentifier=keyid') 2>>"$1/openssl.log"
}

# live SERVER_PID PORT TRUST PROFILE DIRECTORY LOG: waits until PORT answers and TRUST is there, prints the ready line and
# lives until SIGTERM, which stops the server too.
live()
{
    local pid=$1 port=$2 trust=$3 profile=$4 directory=$5 log=$6 tries
    # shellcheck disable=SC2064  # the pid of now
    trap "kill $pid 2>/dev/null || :; wait $pid || :; exit 0" TERM INT HUP
    for ((tries = 0; tries < 200; tries++)); do
        if ! kill -0 "$pid" 2>/dev/null; then
            printf '%s: the server ended before it was ready:\n' "${0##*/}" >&2
            tail -n 20 "$log" >&2
            exit 1
        fi
        if [ -s "$trust" ] && (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            printf '{"directory": %s, "trust": %s, "profile": %s}\n' \
                "$(json_text "$directory")" "$(json_text "$trust")" "$(json_text "$profile")"
            wait "$pid"
            printf '%s: the server ended by itself:\n' "${0##*/}" >&2
            tail -n 20 "$log" >&2
            exit 1
        fi
        sleep 0.1
    done
    kill "$pid" 2>/dev/null || :
    printf '%s: the server was not ready after 20 s\n' "${0##*/}" >&2
    exit 1
}
