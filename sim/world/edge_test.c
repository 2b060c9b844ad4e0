/* edge_listen and edge_fetch against each other, and edge_listen against raw sockets, over loopback in real time. */
#include "world/clock.h"
#include "world/edge_fetch.h"
#include "world/edge_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { MAX_ASKS = 200, BIG = 900000 };

/* Answers every request with its own words: "METHOD url body-length", or `big` bytes. */
struct server {
    struct actor actor;
    struct delivery delivery;
    const char *delivery_once; /* only for URLs that end so */
    size_t big;
    size_t n_asked;
    char last_header[64];
    struct arena arena;
};

static void server_step(struct actor *actor, struct turn *turn, const struct msg *in)
{
    struct server *server = (struct server *)actor;
    const struct http_request *request = &in->as.request;
    struct str header = headers_get(request->headers, "X-Test");
    server->n_asked++;
    snprintf(server->last_header, sizeof server->last_header, "%.*s", STR_ARGS(header));
    struct msg *msg = outbox_post(turn->out, MSG_RESPONSE, in->from, in->flow);
    struct http_response *response = &msg->as.response;
    response->status = 200;
    response->body =
        str_fmt(&msg->arena, "%.*s %.*s %zu", STR_ARGS(request->method), STR_ARGS(request->url), request->body.n);
    if (server->big) {
        char *body = arena_alloc(&msg->arena, server->big + 1);
        memset(body, 'b', server->big);
        response->body = (struct str){body, server->big};
    }
    if (!server->delivery_once || str_ends(request->url, server->delivery_once)) response->delivery = server->delivery;
    msg_header(msg, "Content-Type", STR("text/plain"));
    msg_header(msg, "Replay-Nonce", STR("abc"));
}

/* Asks a list of things through a fetch edge, one after the other or all at once. */
struct ask {
    const char *method, *url;
    struct str body;
};
struct client {
    struct actor actor;
    struct addr fetch;
    struct ask asks[MAX_ASKS];
    size_t n, next, got;
    bool at_once;
    struct http_response seen[MAX_ASKS];
    int64_t seen_at_ms[MAX_ASKS];
    uint64_t first_flow;
    struct arena arena;
};

static void ask_next(struct client *client, struct turn *turn)
{
    const struct ask *ask = &client->asks[client->next++];
    struct msg *msg = outbox_post(turn->out, MSG_REQUEST, client->fetch, 0);
    msg->as.request.method = str_copy(&msg->arena, str_c(ask->method));
    msg->as.request.url = str_copy(&msg->arena, str_c(ask->url));
    msg->as.request.body = str_copy(&msg->arena, ask->body);
    msg_header(msg, "X-Test", STR("yes, \"it\" arrives"));
}

static void client_step(struct actor *actor, struct turn *turn, const struct msg *in)
{
    struct client *client = (struct client *)actor;
    if (in) {
        struct http_response *seen = &client->seen[client->got];
        *seen = in->as.response;
        seen->body = str_copy(&client->arena, seen->body);
        seen->headers = (struct headers *)(uintptr_t)headers_copy(&client->arena, seen->headers);
        client->seen_at_ms[client->got++] = turn->now_ms;
    }
    if (client->next < client->n) ask_next(client, turn);
    while (client->at_once && client->next < client->n)
        ask_next(client, turn);
}

static int64_t client_due(const struct actor *actor)
{
    return ((const struct client *)actor)->next == 0 ? 0 : ACTOR_IDLE;
}

static bool client_finished(const struct actor *actor)
{
    const struct client *client = (const struct client *)actor;
    return client->got >= client->n;
}

/* A peer by hand: connects, sends bytes, reads until the end or until `until` was seen. */
struct raw {
    struct edge edge;
    struct addr seat;
    int fd;
    struct str send;
    const char *until; /* NULL: until the end */
    bool leave;        /* close right after sending */
    bool sent, ended, was_reset;
    struct buf got;
    struct arena arena;
};

static void raw_prepare(struct edge *edge, struct edge_wait *wait)
{
    struct raw *raw = (struct raw *)edge;
    if (raw->fd < 0) return;
    FD_SET(raw->fd, &wait->read);
    if (!raw->sent) FD_SET(raw->fd, &wait->write);
    if (raw->fd > wait->max_fd) wait->max_fd = raw->fd;
}

static void raw_end(struct raw *raw, struct hall *hall)
{
    struct msg *msg = msg_new(MSG_EXIT);
    msg->from = raw->seat;
    msg->flow = hall_next_flow(hall);
    raw->ended = true;
    close(raw->fd);
    raw->fd = -1;
    hall_arrive(hall, msg);
}

static void raw_ready(struct edge *edge, struct hall *hall, const struct edge_wait *wait)
{
    struct raw *raw = (struct raw *)edge;
    char piece[65536];
    if (raw->fd < 0) return;
    if (!raw->sent && FD_ISSET(raw->fd, &wait->write)) {
        ssize_t n = send(raw->fd, raw->send.at, raw->send.n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) raw->send = (struct str){raw->send.at + n, raw->send.n - (size_t)n};
        raw->sent = raw->send.n == 0;
        if (raw->sent && raw->leave) {
            close(raw->fd);
            raw->fd = -1;
            return;
        }
    }
    if (!FD_ISSET(raw->fd, &wait->read)) return;
    ssize_t n = recv(raw->fd, piece, sizeof piece, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    raw->was_reset = n < 0;
    if (n > 0) buf_add(&raw->got, (struct str){piece, (size_t)n});
    if (n <= 0 || (raw->until && str_find(buf_str(&raw->got), raw->until) >= 0)) raw_end(raw, hall);
}

static void raw_free(struct edge *edge)
{
    struct raw *raw = (struct raw *)edge;
    if (raw->fd >= 0) close(raw->fd);
    raw->fd = -1;
}

struct stage {
    struct history history;
    struct hall *hall;
    struct server server;
    struct client client;
    struct edge *listen;
    int port;
    char base[64], trust[64];
    size_t before_n;
};

static size_t waits;
static bool counting_wait(struct hall *hall, int64_t due_ms)
{
    waits++;
    return clock_real_wait(hall, due_ms);
}

struct set {
    bool tls;
    size_t max_body;
    int64_t limit_ms, fetch_limit_ms;
    const char *connect_to;
    bool distrust;
    bool (*refuses)(void *);
    void *context;
};

/* A fresh P-256 key and a certificate of its own for 127.0.0.1. */
static void make_certificate(struct arena *arena, struct str *ret_certificate, struct str *ret_key)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    ASN1_TIME_set_string_X509(X509_getm_notBefore(certificate), "20200101000000Z");
    ASN1_TIME_set_string_X509(X509_getm_notAfter(certificate), "20990101000000Z");
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC, (const unsigned char *)"x", -1,
                               -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
    X509_add_ext(certificate, san, -1);
    X509_EXTENSION_free(san);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    char *at;
    PEM_write_bio_X509(bio, certificate);
    long n = BIO_get_mem_data(bio, &at);
    *ret_certificate = str_copy(arena, (struct str){at, (size_t)n});
    (void)BIO_reset(bio);
    PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    n = BIO_get_mem_data(bio, &at);
    *ret_key = str_copy(arena, (struct str){at, (size_t)n});
    BIO_free(bio);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static void set_up(struct stage *stage, struct set set)
{
    memset(stage, 0, sizeof *stage);
    waits = 0;
    stage->history.start_ms = clock_real_utc_ms();
    stage->hall = hall_new(&(struct hall_options){.wait = counting_wait,
                                                  .start_ms = stage->history.start_ms,
                                                  .limit_ms = set.limit_ms ? set.limit_ms : 100000,
                                                  .history = &stage->history});
    stage->server.actor = (struct actor){.name = "server", .step = server_step};
    stage->client.actor =
        (struct actor){.name = "client", .step = client_step, .next_due_ms = client_due, .finished = client_finished};
    struct edge_listen_options listen = {.address = "127.0.0.1",
                                         .to = hall_seat(stage->hall, &stage->server.actor),
                                         .max_body = set.max_body,
                                         .refuses = set.refuses,
                                         .context = set.context};
    struct key *key = NULL;
    if (set.tls) {
        struct str key_text;
        make_certificate(&stage->server.arena, &listen.certificate_pem, &key_text);
        listen.key = key = key_from_pem(key_text);
        strcpy(stage->trust, "/tmp/edge_test_XXXXXX");
        int fd = mkstemp(stage->trust);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, listen.certificate_pem.at, listen.certificate_pem.n), listen.certificate_pem.n);
        close(fd);
    }
    assert_int_equal(edge_listen_new(&listen, &stage->listen), OK);
    key_free(key);
    edge_listen_seated(stage->listen, hall_seat_edge(stage->hall, stage->listen, "visitor"));
    stage->port = edge_listen_port(stage->listen);
    snprintf(stage->base, sizeof stage->base, "%s://127.0.0.1:%d", set.tls ? "https" : "http", stage->port);
    char connect_to[64];
    snprintf(connect_to, sizeof connect_to, "127.0.0.1:%d", stage->port);
    struct edge *fetch =
        edge_fetch_new(&(struct edge_fetch_options){.trust_file = set.tls && !set.distrust ? stage->trust : NULL,
                                                    .connect_to = set.connect_to ? connect_to : NULL,
                                                    .limit_ms = set.fetch_limit_ms ? set.fetch_limit_ms : 60000,
                                                    .max_body = 1 << 20});
    stage->client.fetch = hall_seat_edge(stage->hall, fetch, "outside");
}

static void ask(struct stage *stage, const char *method, const char *path, struct str body)
{
    const char *url = strstr(path, "://") ? path : str_fmt(&stage->client.arena, "%s%s", stage->base, path).at;
    stage->client.asks[stage->client.n++] = (struct ask){method, url, body};
}

static enum hall_end run(struct stage *stage)
{
    if (stage->client.n) hall_seat(stage->hall, &stage->client.actor);
    return hall_run(stage->hall);
}

static void tear_down(struct stage *stage)
{
    hall_free(stage->hall);
    history_done(&stage->history);
    arena_done(&stage->client.arena);
    arena_done(&stage->server.arena);
    if (stage->trust[0]) unlink(stage->trust);
}

static void add_raw(struct stage *stage, struct raw *raw, struct str bytes)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)stage->port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const char *until = raw->until;
    bool leave = raw->leave;
    *raw = (struct raw){
        .edge = {NULL, raw_prepare, raw_ready, raw_free},
          .send = bytes, .until = until, .leave = leave
    };
    raw->got.arena = &raw->arena;
    raw->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(raw->fd, (struct sockaddr *)&to, sizeof to), 0);
    raw->seat = hall_seat_edge(stage->hall, &raw->edge, "raw");
}

static size_t count_text(struct str text, const char *needle)
{
    size_t n = 0;
    for (ptrdiff_t at; (at = str_find(text, needle)) >= 0; n++)
        text = (struct str){text.at + at + 1, text.n - (size_t)at - 1};
    return n;
}

static void test_methods(void **state)
{
    (void)state;
    for (int tls = 0; tls < 2; tls++) {
        struct stage stage;
        set_up(&stage, (struct set){.tls = tls});
        ask(&stage, "GET", "/dir?x=%41&y", (struct str){0});
        ask(&stage, "POST", "/new-order", STR("{\"payload\":\"\"}"));
        ask(&stage, "HEAD", "/new-nonce", (struct str){0});
        ask(&stage, "DELETE", "/x/../y", (struct str){0});
        ask(&stage, "POST", "/empty", (struct str){0});
        assert_int_equal(run(&stage), HALL_FINISHED);
        const char *texts[] = {"GET %s/dir?x=%%41&y 0", "POST %s/new-order 14", NULL, "DELETE %s/x/../y 0",
                               "POST %s/empty 0"};
        for (size_t i = 0; i < 5; i++) {
            const struct http_response *seen = &stage.client.seen[i];
            char expected[200] = "";
            if (texts[i]) snprintf(expected, sizeof expected, texts[i], stage.base);
            assert_int_equal(seen->status, 200);
            assert_int_equal(seen->delivery.how, DELIVER_WHOLE);
            assert_string_equal(seen->body.at, expected);
            assert_string_equal(headers_get(seen->headers, "replay-nonce").at, "abc");
            assert_true(str_ends(headers_get(seen->headers, "Date"), " GMT"));
            assert_int_equal(headers_count(seen->headers, "Date"), 1);
            char length[24];
            snprintf(length, sizeof length, "%zu",
                     i == 2 ? strlen("HEAD /new-nonce 0") + strlen(stage.base) : strlen(expected));
            assert_string_equal(headers_get(seen->headers, "Content-Length").at, length);
        }
        assert_string_equal(stage.server.last_header, "yes, \"it\" arrives");
        for (size_t i = 0; i < stage.history.n; i++)
            if (stage.history.at[i].kind == WIRE_REQUEST)
                assert_string_equal(headers_get(event_headers(&stage.history.at[i]), "X-Test").at,
                                    "yes, \"it\" arrives");
        tear_down(&stage);
    }
}

static void test_big_bodies(void **state)
{
    (void)state;
    char *big = malloc(BIG);
    assert_non_null(big);
    memset(big, 'a', BIG);
    for (int tls = 0; tls < 2; tls++) {
        struct stage stage;
        set_up(&stage, (struct set){.tls = tls});
        stage.server.big = BIG;
        ask(&stage, "POST", "/1", (struct str){big, BIG});
        ask(&stage, "POST", "/2", (struct str){big, BIG});
        assert_int_equal(run(&stage), HALL_FINISHED);
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(stage.client.seen[i].status, 200);
            assert_int_equal(stage.client.seen[i].body.n, BIG);
        }
        tear_down(&stage);
    }
    free(big);
}

static void test_each_delivery(void **state)
{
    (void)state;
    static const struct {
        struct delivery delivery;
        enum delivery_how seen;
        int status;
        size_t body;
    } rows[] = {
        {{.how = DELIVER_RESET},                   DELIVER_RESET,     0,   0},
        {{.how = DELIVER_CLOSED},                  DELIVER_CLOSED,    0,   0},
        {{.how = DELIVER_GARBAGE},                 DELIVER_GARBAGE,   0,   0},
        {{.how = DELIVER_TRUNCATED, .at_byte = 7}, DELIVER_TRUNCATED, 200, 7},
        {{.how = DELIVER_TRUNCATED, .at_byte = 0}, DELIVER_TRUNCATED, 200, 0},
        {{.how = DELIVER_SLOW, .over_ms = 120},    DELIVER_WHOLE,     200, 0},
        {{.how = DELIVER_WHOLE, .delay_ms = 60},   DELIVER_WHOLE,     200, 0},
    };
    for (int tls = 0; tls < 2; tls++) {
        struct stage stage;
        for (size_t i = 0; i < COUNTOF(rows); i++) {
            set_up(&stage, (struct set){.tls = tls});
            stage.server.delivery = rows[i].delivery;
            stage.server.delivery_once = "/bad";
            ask(&stage, "GET", "/good", (struct str){0}); /* so that "/bad" comes on a kept connection */
            ask(&stage, "GET", "/bad", (struct str){0});
            ask(&stage, "GET", "/good", (struct str){0});
            assert_int_equal(run(&stage), HALL_FINISHED);
            const struct http_response *seen = &stage.client.seen[1];
            assert_int_equal(seen->delivery.how, rows[i].seen);
            assert_int_equal(seen->status, rows[i].status);
            if (seen->delivery.how == DELIVER_TRUNCATED) {
                assert_int_equal(seen->body.n, rows[i].body);
                assert_int_equal(seen->delivery.at_byte, rows[i].body);
            }
            int64_t took_ms = stage.client.seen_at_ms[1] - stage.client.seen_at_ms[0];
            assert_true(took_ms >= rows[i].delivery.over_ms + rows[i].delivery.delay_ms);
            if (seen->delivery.how == DELIVER_WHOLE) assert_true(str_ends(seen->body, "/bad 0"));
            if (seen->status == 0) assert_true(seen->body.n > 0); /* why, in words */
            assert_int_equal(stage.client.seen[2].status, 200);
            assert_int_equal(stage.server.n_asked, 3); /* nothing was silently sent twice */
            tear_down(&stage);
        }
    }
}

static void test_head_cut_short(void **state)
{
    (void)state;
    struct stage stage;
    set_up(&stage, (struct set){0});
    stage.server.delivery = (struct delivery){.how = DELIVER_TRUNCATED, .at_byte = 5};
    ask(&stage, "HEAD", "/", (struct str){0});
    assert_int_equal(run(&stage), HALL_FINISHED);
    assert_int_equal(stage.client.seen[0].status, 200);
    tear_down(&stage);
}

static void test_hang_ends_by_the_askers_limit(void **state)
{
    (void)state;
    for (int tls = 0; tls < 2; tls++) {
        struct stage stage;
        set_up(&stage, (struct set){.tls = tls, .fetch_limit_ms = 80, .limit_ms = 250});
        stage.server.delivery.how = DELIVER_HANG;
        ask(&stage, "GET", "/", (struct str){0});
        assert_int_equal(run(&stage), HALL_TIME_LIMIT); /* a hang reaches no actor: its own timer would have to act */
        assert_int_equal(stage.client.got, 0);
        const struct event *answer = NULL;
        for (size_t i = 0; i < stage.history.n; i++)
            if (stage.history.at[i].kind == WIRE_RESPONSE &&
                str_is(event_text(&stage.history.at[i], F_FROM), "outside"))
                answer = &stage.history.at[i];
        if (!answer) {
            fail_msg("no response from outside is in the log");
            return;
        }
        assert_string_equal(event_text(answer, F_DELIVERY).at, "hang");
        assert_true(answer->t_ms >= 80);
        assert_true(waits < 60);
        tear_down(&stage);
    }
}

static void test_fetch_refused_and_bad_urls(void **state)
{
    (void)state;
    struct stage stage;
    set_up(&stage, (struct set){0});
    struct sockaddr_in free_port = {.sin_family = AF_INET};
    free_port.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t n = sizeof free_port;
    int fd = socket(AF_INET, SOCK_STREAM, 0); /* bound and not listening: nobody else gets it */
    assert_int_equal(bind(fd, (struct sockaddr *)&free_port, n), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&free_port, &n), 0);
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", ntohs(free_port.sin_port));
    ask(&stage, "GET", url, (struct str){0});
    ask(&stage, "GET", "ftp://127.0.0.1/", (struct str){0});
    ask(&stage, "GET", "file:///etc/passwd://", (struct str){0});
    assert_int_equal(run(&stage), HALL_FINISHED);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(stage.client.seen[i].delivery.how, DELIVER_REFUSED);
        assert_int_equal(stage.client.seen[i].status, 0);
        assert_true(stage.client.seen[i].body.n > 0);
    }
    close(fd);
    tear_down(&stage);
}

static void test_untrusted_certificate(void **state)
{
    (void)state;
    struct stage stage;
    set_up(&stage, (struct set){.tls = true, .distrust = true});
    ask(&stage, "GET", "/", (struct str){0});
    assert_int_equal(run(&stage), HALL_FINISHED);
    assert_int_equal(stage.client.seen[0].status, 0);
    assert_int_equal(stage.client.seen[0].delivery.how, DELIVER_RESET);
    assert_true(str_find(stage.client.seen[0].body, "certificate") >= 0);
    assert_int_equal(stage.server.n_asked, 0);
    tear_down(&stage);
}

static void test_connect_to(void **state)
{
    (void)state;
    struct stage stage;
    set_up(&stage, (struct set){.connect_to = "us"});
    ask(&stage, "GET", "http://a.example.test/.well-known/acme-challenge/t", (struct str){0});
    assert_int_equal(run(&stage), HALL_FINISHED);
    assert_string_equal(stage.client.seen[0].body.at, "GET http://a.example.test/.well-known/acme-challenge/t 0");
    tear_down(&stage);
}

static void test_many_at_once(void **state)
{
    (void)state;
    for (int tls = 0; tls < 2; tls++) {
        struct stage stage;
        set_up(&stage, (struct set){.tls = tls});
        stage.client.at_once = true;
        for (int i = 0; i < MAX_ASKS; i++)
            ask(&stage, "POST", "/x", STR("hello"));
        assert_int_equal(run(&stage), HALL_FINISHED);
        for (int i = 0; i < MAX_ASKS; i++)
            assert_int_equal(stage.client.seen[i].status, 200);
        assert_int_equal(stage.server.n_asked, MAX_ASKS);
        tear_down(&stage);
    }
}

static bool refuse_while(void *context)
{
    return *(bool *)context;
}

static void test_refuses_and_listens_again(void **state)
{
    (void)state;
    bool refusing = true;
    struct stage stage;
    set_up(&stage, (struct set){.refuses = refuse_while, .context = &refusing});
    ask(&stage, "GET", "/1", (struct str){0});
    assert_int_equal(run(&stage), HALL_FINISHED);
    assert_int_equal(stage.client.seen[0].delivery.how, DELIVER_REFUSED);
    refusing = false;
    ask(&stage, "GET", "/2", (struct str){0});
    stage.client.next = 1;
    struct msg *msg = msg_new(MSG_REQUEST);
    msg->as.request.method = STR("GET");
    msg->as.request.url = str_copy(&msg->arena, str_c(stage.client.asks[1].url));
    msg->from = (struct addr){4}; /* the client's seat: server, visitor, outside, client */
    msg->to = stage.client.fetch;
    msg->flow = hall_next_flow(stage.hall);
    hall_arrive(stage.hall, msg);
    assert_int_equal(hall_run(stage.hall), HALL_FINISHED);
    assert_int_equal(stage.client.seen[1].status, 200);
    tear_down(&stage);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a.test\r\n\r\n"

static void test_keep_alive_and_pipelining(void **state)
{
    (void)state;
    struct stage stage;
    struct raw raw = {.until = "/3 0"};
    set_up(&stage, (struct set){0});
    add_raw(&stage, &raw, STR(GET("/1") "POST /2 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc" GET("/3")));
    assert_int_equal(run(&stage), HALL_FINISHED);
    struct str got = buf_str(&raw.got);
    assert_int_equal(count_text(got, "HTTP/1.1 200 OK\r\n"), 3);
    assert_int_equal(count_text(got, "Connection: close"), 0);
    assert_true(str_find(got, "GET http://a.test/1 0") < str_find(got, "POST http://a.test/2 3"));
    assert_true(str_find(got, "POST http://a.test/2 3") < str_find(got, "GET http://a.test/3 0"));
    arena_done(&raw.arena);
    tear_down(&stage);
}

static void test_too_large(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999\r\nExpect: 100-continue\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        "64\r\n0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\r\n"
        "64\r\n0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\r\n"
        "0\r\n\r\n",
    };
    for (size_t i = 0; i < COUNTOF(requests); i++) {
        struct stage stage;
        struct raw raw = {.until = "too large"};
        set_up(&stage, (struct set){.max_body = 150});
        add_raw(&stage, &raw, str_c(requests[i]));
        assert_int_equal(run(&stage), HALL_FINISHED);
        assert_true(str_starts(buf_str(&raw.got), "HTTP/1.1 413 "));
        assert_int_equal(stage.server.n_asked, 0);
        arena_done(&raw.arena);
        tear_down(&stage);
    }
}

static void test_not_http(void **state)
{
    (void)state;
    struct stage stage;
    struct raw raw = {0};
    set_up(&stage, (struct set){0});
    add_raw(&stage, &raw, STR("\x16\x03\x01 hello\r\n\r\n"));
    assert_int_equal(run(&stage), HALL_FINISHED); /* it was told off or cut off, and did not stay */
    assert_true(raw.ended);
    assert_int_equal(stage.server.n_asked, 0);
    arena_done(&raw.arena);
    tear_down(&stage);
}

static void test_half_a_handshake_costs_nothing(void **state)
{
    (void)state;
    struct stage stage;
    struct raw raw[3] = {0};
    set_up(&stage, (struct set){.tls = true, .limit_ms = 150});
    add_raw(&stage, &raw[0], STR("\x16\x03\x01\x02\x00\x01\x00"));
    add_raw(&stage, &raw[1], STR("\x16"));
    add_raw(&stage, &raw[2], STR("\x16\x03"));
    assert_int_equal(run(&stage), HALL_TIME_LIMIT);
    assert_true(waits < 20);
    tear_down(&stage);
}

static void test_idle_connections_cost_nothing(void **state)
{
    (void)state;
    struct stage stage;
    struct raw raw = {.until = "never said"};
    set_up(&stage, (struct set){.limit_ms = 150});
    add_raw(&stage, &raw, STR(GET("/1") "GET /half HTTP/1.1\r\nHo"));
    assert_int_equal(run(&stage), HALL_TIME_LIMIT);
    assert_int_equal(count_text(buf_str(&raw.got), "HTTP/1.1 200"), 1);
    assert_true(waits < 20);
    arena_done(&raw.arena);
    tear_down(&stage);
}

static void test_peer_leaves_before_its_answer(void **state)
{
    (void)state;
    struct stage stage;
    struct raw raw = {.leave = true};
    set_up(&stage, (struct set){.limit_ms = 200});
    stage.server.delivery.delay_ms = 100;
    add_raw(&stage, &raw, STR(GET("/1")));
    assert_int_equal(run(&stage), HALL_TIME_LIMIT);
    assert_int_equal(stage.server.n_asked, 1);
    assert_true(waits < 30);
    tear_down(&stage);
}

static void test_peer_leaves_while_we_hang(void **state)
{
    (void)state;
    struct stage stage;
    struct raw raw = {0};
    set_up(&stage, (struct set){.limit_ms = 150});
    stage.server.delivery.how = DELIVER_HANG;
    add_raw(&stage, &raw, STR(GET("/1") GET("/2"))); /* the second is never read */
    assert_int_equal(run(&stage), HALL_TIME_LIMIT);
    assert_int_equal(raw.got.n, 0);
    assert_false(raw.ended);
    assert_int_equal(stage.server.n_asked, 1);
    assert_true(waits < 20);
    tear_down(&stage);
}

static void test_reset_is_a_reset(void **state)
{
    (void)state;
    struct stage stage;
    struct raw raw = {0};
    set_up(&stage, (struct set){0});
    stage.server.delivery.how = DELIVER_RESET;
    add_raw(&stage, &raw, STR(GET("/1")));
    assert_int_equal(run(&stage), HALL_FINISHED);
    assert_true(raw.was_reset);
    tear_down(&stage);
}

static void test_bad_options(void **state)
{
    (void)state;
    struct edge *edge = NULL;
    assert_int_equal(edge_listen_new(&(struct edge_listen_options){.address = "nowhere"}, &edge), ERR_MALFORMED);
    assert_int_equal(edge_listen_new(&(struct edge_listen_options){.port = 70000}, &edge), ERR_MALFORMED);
    assert_int_equal(edge_listen_new(&(struct edge_listen_options){.address = "192.0.2.1"}, &edge), ERR_IO);
    assert_int_equal(edge_listen_new(&(struct edge_listen_options){.certificate_pem = STR("junk")}, &edge), ERR_CRYPTO);
    assert_null(edge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_big_bodies),
        cmocka_unit_test(test_each_delivery),
        cmocka_unit_test(test_head_cut_short),
        cmocka_unit_test(test_hang_ends_by_the_askers_limit),
        cmocka_unit_test(test_fetch_refused_and_bad_urls),
        cmocka_unit_test(test_untrusted_certificate),
        cmocka_unit_test(test_connect_to),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_refuses_and_listens_again),
        cmocka_unit_test(test_keep_alive_and_pipelining),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_not_http),
        cmocka_unit_test(test_half_a_handshake_costs_nothing),
        cmocka_unit_test(test_idle_connections_cost_nothing),
        cmocka_unit_test(test_peer_leaves_before_its_answer),
        cmocka_unit_test(test_peer_leaves_while_we_hang),
        cmocka_unit_test(test_reset_is_a_reset),
        cmocka_unit_test(test_bad_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
