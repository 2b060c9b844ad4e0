/* Pebble's command line, configuration file, environment and log, in front of our own CA: scripts that start the one
 * can start the other. Nothing is left to chance: authorizations are reused never or always, whichever is nearer to the
 * probability that is asked for, and of nonces so many are refused, evenly spread. */
#include "base/when.h"
#include "command.h"
#include "serving.h"
#include "world/clock.h"

#include <argp.h>
#include <errno.h>
#include <jansson.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { STATUS_FAILED = 1 }; /* as Go's log.Fatal ends a program */

#define DEFAULT_CONFIG "test/config/pebble-config.json"

struct pebble {
    struct arena arena;
    const char *config_file, *dns_server;
    bool strict, version;
    json_t *file, *config; /* the file, and in it the object "pebble"; NULL: none, which is fine */
    struct profile profile;
    struct key *key;
    struct serving serving;
};

/* --- the log --- */
static void log_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void log_line(const char *fmt, ...)
{
    struct arena arena = {0};
    struct str now = when_rfc3339(&arena, clock_real_utc_ms());
    va_list ap;
    va_start(ap, fmt);
    struct str text = str_vfmt(&arena, fmt, ap);
    va_end(ap);
    printf("Pebble %.4s/%.2s/%.2s %.8s %.*s\n", now.at, now.at + 5, now.at + 8, now.at + 11, STR_ARGS(text));
    fflush(stdout);
    arena_done(&arena);
}

static void greet(const struct serving *serving, const struct serving_places *places)
{
    if (places->management_port) {
        log_line("Management interface listening on: %s:%d", serving->management_address, places->management_port);
        log_line("Root CA certificate available at: https://%s:%d/roots/0", serving->management_address,
                 places->management_port);
    }
    log_line("Listening on: %s:%d", serving->address, places->port);
    log_line("ACME directory available at: %s://%s:%d/dir", serving->plain ? "http" : "https", serving->address,
             places->port);
    if (places->control_port) log_line("Control API of acmedrill at: http://127.0.0.1:%d/", places->control_port);
}

/* --- the configuration file --- */
static bool failed(const char *what, const char *why)
{
    log_line("%s: %s", what, why);
    return false;
}

static bool config_read(struct pebble *pebble)
{
    static const char reading[] = "Reading JSON config file into config structure";
    json_error_t error;
    const char *path = pebble->config_file ? pebble->config_file : DEFAULT_CONFIG;
    FILE *file = fopen(path, "r");
    if (!file && !pebble->config_file) {
        log_line("There is no %s: serving on loopback, with a certificate of its own", path);
        return true;
    }
    if (!file) return failed(reading, str_fmt(&pebble->arena, "open %s: %s", path, strerror(errno)).at);
    pebble->file = json_loadf(file, JSON_REJECT_DUPLICATES, &error);
    fclose(file);
    if (!pebble->file)
        return failed(reading, str_fmt(&pebble->arena, "%s:%d:%d: %s", path, error.line, error.column, error.text).at);
    pebble->config = json_object_get(pebble->file, ORIGINAL_CA_NAME);
    if (!json_is_object(pebble->config)) return failed(reading, "it has no object named \"" ORIGINAL_CA_NAME "\"");
    return true;
}

static struct str config_text(struct pebble *pebble, const char *name)
{
    const json_t *value = json_object_get(pebble->config, name);
    if (!json_is_string(value)) return (struct str){0};
    return str_copy(&pebble->arena, (struct str){json_string_value(value), json_string_length(value)});
}

static bool listener_of(struct pebble *pebble, const char *name, const char **ret_address, int *ret_port)
{
    struct str text = config_text(pebble, name);
    if (!text.n || listener_read(&pebble->arena, text, ret_address, ret_port)) return true;
    return failed(name, str_fmt(&pebble->arena, "\"%.*s\" is no address and port", STR_ARGS(text)).at);
}

static bool port_read(struct pebble *pebble, const char *name, int *ret)
{
    const json_t *value = json_object_get(pebble->config, name);
    if (!value) return true;
    if (!json_is_integer(value) || json_integer_value(value) < 1 || json_integer_value(value) > 65535)
        return failed(name, "it is no port");
    *ret = (int)json_integer_value(value);
    return true;
}

static bool file_of(struct pebble *pebble, const char *name, struct str *ret)
{
    struct str path = config_text(pebble, name);
    if (!path.n) return true;
    *ret = file_read(&pebble->arena, path.at);
    return ret->n || failed(name, str_fmt(&pebble->arena, "open %s: %s", path.at, strerror(errno)).at);
}

/* The DNS server may have a name, as among containers; our edge takes numbers only. */
static bool dns_read(struct pebble *pebble)
{
    struct str host, port, text = str_c(pebble->dns_server);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM}, *found = NULL;
    char number[64];
    if (!text.n) return true;
    ptrdiff_t colon = -1;
    for (size_t i = 0; i < text.n; i++)
        if (text.at[i] == ':') colon = (ptrdiff_t)i;
    host = (struct str){text.at, colon < 0 ? 0 : (size_t)colon};
    port = (struct str){text.at + colon + 1, text.n - (size_t)(colon + 1)};
    if (host.n > 2 && host.at[0] == '[') host = (struct str){host.at + 1, host.n - 2};
    bool good =
        host.n && port.n &&
        getaddrinfo(str_copy(&pebble->arena, host).at, str_copy(&pebble->arena, port).at, &hints, &found) == 0 &&
        getnameinfo(found->ai_addr, found->ai_addrlen, number, sizeof number, NULL, 0, NI_NUMERICHOST) == 0;
    if (good)
        pebble->serving.dns_server =
            str_fmt(&pebble->arena, strchr(number, ':') ? "[%s]:%.*s" : "%s:%.*s", number, STR_ARGS(port)).at;
    if (found) freeaddrinfo(found);
    return good || failed("-dnsserver", str_fmt(&pebble->arena, "\"%.*s\" is no host and port", STR_ARGS(text)).at);
}

static bool tls_read(struct pebble *pebble)
{
    struct str key = {0};
    if (!file_of(pebble, "certificate", &pebble->serving.certificate_pem) || !file_of(pebble, "privateKey", &key))
        return false;
    if (!pebble->serving.certificate_pem.n) return true;
    pebble->serving.key = pebble->key = key_from_pem(key);
    return pebble->key || failed("privateKey", "it is no PEM file with a P-256, P-384, Ed25519 or RSA key");
}

/* --- what the CA is like --- */

/* The value of a variable as a whole number; `absent` where there is none. */
static int64_t variable(const char *name, int64_t absent)
{
    int64_t number;
    return str_int(str_c(getenv(name)), &number) ? number : absent;
}

static void set_seconds(json_t *profile, const char *name, const json_t *seconds)
{
    char text[32];
    if (!json_is_integer(seconds)) return;
    snprintf(text, sizeof text, "%llds", (long long)json_integer_value(seconds));
    json_object_set_new(profile, name, json_string(text));
}

static void set_number(json_t *profile, const char *name, const char *variable_name)
{
    int64_t number = variable(variable_name, -1);
    if (number >= 0) json_object_set_new(profile, name, json_integer(number));
}

static json_t *certificate_profiles(const json_t *profiles)
{
    json_t *made = json_object(), *value;
    const char *name;
    json_object_foreach((json_t *)(uintptr_t)profiles, name, value)
    {
        json_t *one = json_pack("{s:O?}", "title", json_object_get(value, "description"));
        set_seconds(one, "lifetime", json_object_get(value, "validityPeriod"));
        json_object_set_new(made, name, one);
    }
    return made;
}

/* Its configuration and environment in the words of our profiles. */
static json_t *profile_of(struct pebble *pebble)
{
    json_t *config = pebble->config, *profile = json_pack("{s:s}", "base", ORIGINAL_CA_NAME);
    json_t *retry_after = json_object_get(config, "retryAfter"), *profiles = json_object_get(config, "profiles");
    int64_t reuse = variable("PEBBLE_AUTHZREUSE", -1), refused = variable("PEBBLE_WFE_NONCEREJECT", 0);
    set_seconds(profile, "retry_after_authz", json_object_get(retry_after, "authz"));
    set_seconds(profile, "retry_after_order", json_object_get(retry_after, "order"));
    set_seconds(profile, "certificate_lifetime", json_object_get(config, "certificateValidityPeriod"));
    set_number(profile, "orders_per_page", "PEBBLE_WFE_ORDERS_PER_PAGE");
    set_number(profile, "alternate_chains", "PEBBLE_ALTERNATE_ROOTS");
    set_number(profile, "chain_length", "PEBBLE_CHAIN_LENGTH");
    if (refused > 0) json_object_set_new(profile, "refused_nonces", json_integer(refused > 99 ? 99 : refused));
    if (reuse >= 0) json_object_set_new(profile, "reuses_authz", json_boolean(reuse >= 50));
    if (json_is_true(json_object_get(config, "externalAccountBindingRequired")))
        json_object_set_new(profile, "external_account_required", json_true());
    if (json_object_size(json_object_get(config, "externalAccountMACKeys")))
        json_object_set(profile, "external_accounts", json_object_get(config, "externalAccountMACKeys"));
    if (json_object_size(profiles))
        json_object_set_new(profile, "certificate_profiles", certificate_profiles(profiles));
    if (json_array_size(json_object_get(config, "domainBlocklist")))
        json_object_set(profile, "refused_names", json_object_get(config, "domainBlocklist"));
    if (json_array_size(json_object_get(config, "caaIdentities")))
        json_object_set(profile, "caa_identities", json_object_get(config, "caaIdentities"));
    if (pebble->strict) json_object_set_new(profile, "strict_payloads", json_true());
    return profile;
}

static bool profile_make(struct pebble *pebble)
{
    struct complaints complaints = {.arena = &pebble->arena};
    struct paper paper;
    json_t *made = profile_of(pebble);
    char *text = json_dumps(made, 0);
    json_decref(made);
    enum err e = paper_parse(&pebble->arena, STR("config"), str_c(text), &complaints, &paper);
    if (!e) e = profile_read(&pebble->arena, &paper, paper.root, "", &complaints, &pebble->profile);
    paper_done(&paper);
    free(text);
    if (e) complaints_print(&complaints);
    pebble->serving.profile = &pebble->profile;
    return e == OK;
}

static bool set_up(struct pebble *pebble)
{
    struct serving *serving = &pebble->serving;
    return config_read(pebble) && listener_of(pebble, "listenAddress", &serving->address, &serving->port) &&
           listener_of(pebble, "managementListenAddress", &serving->management_address, &serving->management_port) &&
           port_read(pebble, "httpPort", &serving->http_port) && port_read(pebble, "tlsPort", &serving->tls_port) &&
           tls_read(pebble) && dns_read(pebble) && profile_make(pebble);
}

enum { OPT_CONFIG = 256, OPT_STRICT, OPT_DNS_SERVER, OPT_VERSION, OPT_CONTROL_PORT, OPT_HISTORY, OPT_PLAIN };
/* clang-format off */
static const struct argp_option options[] = {
    {"config", OPT_CONFIG, "FILE", 0, "configuration file (" DEFAULT_CONFIG ", if it is there)", 1},
    {"strict", OPT_STRICT, "BOOL", OPTION_ARG_OPTIONAL, "refuse what will be refused one day", 1},
    {"dnsserver", OPT_DNS_SERVER, "HOST:PORT", 0, "ask this DNS server for names, TXT and CAA records", 1},
    {"version", OPT_VERSION, 0, 0, "print the version", 1},
    {0, 0, 0, 0, "What is not the original's", 2},
    {"control-port", OPT_CONTROL_PORT, "N", 0, "offer the control API at http://127.0.0.1:N", 2},
    {"history", OPT_HISTORY, "FILE", 0, "write down all that crosses the wire (JSON Lines)", 2},
    {"plain", OPT_PLAIN, 0, 0, "ACME over HTTP in place of HTTPS", 2},
    {0}
};
/* clang-format on */

static error_t parse(int key, char *word, struct argp_state *state)
{
    struct pebble *pebble = state->input;
    int64_t port;
    switch (key) {
    case OPT_CONFIG: pebble->config_file = word; break;
    case OPT_STRICT: pebble->strict = !word || strcmp(word, "false") != 0; break;
    case OPT_DNS_SERVER: pebble->dns_server = word; break;
    case OPT_VERSION: pebble->version = true; break;
    case OPT_HISTORY: pebble->serving.history_file = word; break;
    case OPT_PLAIN: pebble->serving.plain = true; break;
    case OPT_CONTROL_PORT:
        if (!str_int(str_c(word), &port) || port > 65535) argp_error(state, "--control-port: \"%s\" is no port", word);
        else pebble->serving.control_port = (int)port;
        break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

int command_pebble(int argc, char **argv)
{
    static const char doc[] =
        "Stays up as a CA under the options, the configuration file and the environment of " ORIGINAL_CA_NAME
        ", until it is stopped (Ctrl-C). Nothing happens by chance: no sleeps, and no refused nonces but the even part "
        "that "
        "PEBBLE_WFE_NONCEREJECT asks for. A single dash before "
        "an option will do.";
    struct pebble pebble = {
        .serving = {.command = ORIGINAL_CA_NAME,
                    .address = "127.0.0.1",
                    .port = 14000,
                    .any_host = true,
                    .management_address = "127.0.0.1",
                    .management_port = 15000,
                    .http_port = 5002,
                    .tls_port = 5001,
                    .status_port = -1,
                    .control_port = -1,
                    .speed = 1,
                    .greet = greet}
    };
    const struct argp argp = {options, parse, "", doc, NULL, NULL, NULL};
    argp_err_exit_status = EXIT_USAGE;
    argp_parse(&argp, argc, argv, ARGP_LONG_ONLY, NULL, &pebble);
    if (pebble.version) {
        puts("acmedrill " ACMEDRILL_VERSION ", in place of " ORIGINAL_CA_NAME);
        return EXIT_AS_EXPECTED;
    }
    if (getrandom(&pebble.serving.seed, sizeof pebble.serving.seed, 0) != (ssize_t)sizeof pebble.serving.seed)
        pebble.serving.seed = 1;
    pebble.serving.seed &= INT64_MAX;
    log_line("Starting Pebble ACME server, played by acmedrill " ACMEDRILL_VERSION);
    pebble.serving.always_valid = variable("PEBBLE_VA_ALWAYS_VALID", 0) == 1;
    int status = set_up(&pebble) ? serving_run(&pebble.serving) : STATUS_FAILED;
    key_free(pebble.key);
    json_decref(pebble.file);
    arena_done(&pebble.arena);
    return status;
}
