/* edge_resolve and edge_handshake against servers of ours on loopback, in real time: what no polite server does. The
 * polite ones are in conformance/test_outcomes.py. */
#include "wire/dns_ask.h"
#include "world/clock.h"
#include "world/edge_handshake.h"
#include "world/edge_resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { MAX_ANSWERS = 400, TRY_MS = 150 };

/* Asks at its first turn, and has finished when every question was answered. */
struct asker {
    struct actor actor;
    struct addr to;
    enum msg_kind kind;
    struct str connect;
    size_t n, got;
    int64_t try_ms; /* 0: TRY_MS */
    bool asked;
    struct dns_answer dns;
    struct tls_answer tls;
    struct arena arena;
};

static void asker_step(struct actor *actor, struct turn *turn, const struct msg *in)
{
    struct asker *asker = (struct asker *)actor;
    if (in) {
        asker->got++;
        if (in->kind == MSG_DNS_ANSWER) {
            asker->dns = in->as.dns_answer;
            for (size_t i = 0; i < asker->dns.n_records; i++)
                asker->dns.records[i] = str_copy(&asker->arena, asker->dns.records[i]);
        } else {
            asker->tls = in->as.tls_answer;
            asker->tls.alert = str_copy(&asker->arena, asker->tls.alert);
        }
        return;
    }
    asker->asked = true;
    for (size_t i = 0; i < asker->n; i++) {
        struct msg *msg = outbox_post(turn->out, asker->kind, asker->to, 0);
        if (asker->kind == MSG_DNS_QUERY) {
            msg->as.dns_query = (struct dns_query){.name = STR("a.test"), .type = DNS_TXT};
        } else {
            msg->as.tls_hello = (struct tls_hello){.name = STR("a.test"), .alpn = STR("acme-tls/1")};
            msg->as.tls_hello.connect = str_copy(&msg->arena, asker->connect);
        }
    }
}

static int64_t asker_due_ms(const struct actor *actor)
{
    return ((const struct asker *)actor)->asked ? ACTOR_IDLE : 0;
}

static bool asker_finished(const struct actor *actor)
{
    const struct asker *asker = (const struct asker *)actor;
    return asker->got == asker->n;
}

/* The other side: a socket and what is done when it is readable. */
struct server {
    struct edge edge;
    int udp, tcp, connection;
    int port, times;
    void (*serve)(struct server *server);
    char packet[4096];
    size_t n;
    struct sockaddr_in from;
};

static void server_prepare(struct edge *edge, struct edge_wait *wait)
{
    struct server *server = (struct server *)edge;
    int fds[] = {server->udp, server->connection < 0 ? server->tcp : server->connection};
    for (size_t i = 0; i < COUNTOF(fds); i++) {
        if (fds[i] < 0) continue;
        FD_SET(fds[i], &wait->read);
        if (fds[i] > wait->max_fd) wait->max_fd = fds[i];
    }
}

static void server_ready(struct edge *edge, struct hall *hall, const struct edge_wait *wait)
{
    struct server *server = (struct server *)edge;
    (void)hall;
    if (server->connection >= 0 && FD_ISSET(server->connection, &wait->read)) {
        ssize_t n = recv(server->connection, server->packet, sizeof server->packet, 0);
        server->n = n > 0 ? (size_t)n : 0;
        server->times++;
        server->serve(server);
    } else if (server->connection < 0 && FD_ISSET(server->tcp, &wait->read)) {
        server->connection = accept(server->tcp, NULL, NULL);
    }
    while (FD_ISSET(server->udp, &wait->read)) {
        socklen_t length = sizeof server->from;
        ssize_t n = recvfrom(server->udp, server->packet, sizeof server->packet, MSG_DONTWAIT,
                             (struct sockaddr *)&server->from, &length);
        if (n < 0) break;
        server->n = (size_t)n;
        server->times++;
        server->serve(server);
    }
}

static int listen_on(struct server *server, int type)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)server->port)};
    socklen_t n = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, type, 0);
    if (bind(fd, (struct sockaddr *)&address, n) != 0) {
        assert_int_equal(errno, EADDRINUSE);
        close(fd);
        return -1;
    }
    if (type == SOCK_STREAM) assert_int_equal(listen(fd, 10), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &n), 0);
    server->port = ntohs(address.sin_port);
    return fd;
}

static void server_open(struct server *server, void (*serve)(struct server *server))
{
    *server = (struct server){
        .edge = {NULL, server_prepare, server_ready, NULL},
          .serve = serve, .udp = -1, .tcp = -1, .connection = -1
    };
    /* One port for both: what is free here may be taken there. */
    while (server->tcp < 0) {
        if (server->udp >= 0) close(server->udp);
        server->port = 0;
        server->udp = listen_on(server, SOCK_DGRAM);
        server->tcp = listen_on(server, SOCK_STREAM);
    }
}

static void server_close(struct server *server)
{
    close(server->udp);
    close(server->tcp);
    if (server->connection >= 0) close(server->connection);
}

static void asker_run(struct asker *asker, struct server *server, struct edge *edge)
{
    struct history history = {.start_ms = clock_real_utc_ms()};
    struct hall *hall = hall_new(&(struct hall_options){
        .wait = clock_real_wait, .start_ms = history.start_ms, .limit_ms = 20000, .history = &history});
    asker->actor =
        (struct actor){.name = "va", .step = asker_step, .next_due_ms = asker_due_ms, .finished = asker_finished};
    hall_seat(hall, &asker->actor);
    asker->to = hall_seat_edge(hall, edge, "outside");
    hall_seat_edge(hall, &server->edge, "server");
    /* A question that hangs is answered to nobody: the time limit ends the run. */
    hall_run(hall);
    hall_free(hall);
    history_done(&history);
}

static void ask_dns(struct asker *asker, struct server *server)
{
    struct edge *edge;
    char place[40];
    snprintf(place, sizeof place, "127.0.0.1:%d", server->port);
    asker->kind = MSG_DNS_QUERY;
    assert_int_equal(edge_resolve_new(&(struct edge_resolve_options){.server = place,
                                                                     .try_ms = asker->try_ms ? asker->try_ms : TRY_MS,
                                                                     .seed = 1},
                                      &edge),
                     OK);
    asker_run(asker, server, edge);
}

/* --- DNS --- */

static struct str answer_packet(struct arena *arena, struct server *server, const char *text)
{
    struct dns_query query;
    struct str packet, asked = {server->packet, server->n};
    uint16_t id;
    assert_int_equal(dns_read_query(arena, asked, &query, &id), OK);
    assert_true(query.max_bytes > 512);
    struct dns_answer answer = {.name = query.name, .type = query.type, .records = {str_c(text)}, .n_records = 1};
    assert_int_equal(dns_write_answer(arena, &answer, id, 4096, asked, &packet), OK);
    return packet;
}

static void send_back(struct server *server, int fd, struct str packet)
{
    assert_true(sendto(fd, packet.at, packet.n, 0, (struct sockaddr *)&server->from, sizeof server->from) >= 0);
}

/* Lies first: another id, another question, no DNS at all, an answer from another port. Then the truth. */
static void serve_lies(struct server *server)
{
    struct arena arena = {0};
    struct str truth = answer_packet(&arena, server, "truth"), lie = answer_packet(&arena, server, "lie");
    char *at = (char *)(uintptr_t)lie.at;
    int other = socket(AF_INET, SOCK_DGRAM, 0);
    send_back(server, other, lie);
    close(other);
    at[0] = (char)~at[0];
    send_back(server, server->udp, lie);
    at[0] = (char)~at[0];
    at[13] = 'b';
    send_back(server, server->udp, lie);
    send_back(server, server->udp, STR("nonsense"));
    send_back(server, server->udp, STR(""));
    send_back(server, server->udp, (struct str){truth.at, truth.n - 1});
    send_back(server, server->udp, truth);
    send_back(server, server->udp, lie);
    arena_done(&arena);
}

static void test_lies_are_ignored(void **state)
{
    (void)state;
    struct server server;
    struct asker asker = {.n = 1};
    server_open(&server, serve_lies);
    ask_dns(&asker, &server);
    assert_int_equal(asker.got, 1);
    assert_int_equal(asker.dns.n_records, 1);
    assert_string_equal(asker.dns.records[0].at, "truth");
    assert_int_equal(server.times, 1);
    server_close(&server);
    arena_done(&asker.arena);
}

/* The second question has another id and comes from another port. */
static void serve_second(struct server *server)
{
    static char id[2];
    static in_port_t port;
    struct arena arena = {0};
    if (server->times == 1) {
        memcpy(id, server->packet, 2);
        port = server->from.sin_port;
        return;
    }
    assert_memory_not_equal(id, server->packet, 2);
    assert_int_not_equal(port, server->from.sin_port);
    send_back(server, server->udp, answer_packet(&arena, server, "second"));
    arena_done(&arena);
}

static void test_asks_twice(void **state)
{
    (void)state;
    struct server server;
    struct asker asker = {.n = 1};
    server_open(&server, serve_second);
    ask_dns(&asker, &server);
    assert_int_equal(asker.got, 1);
    assert_string_equal(asker.dns.records[0].at, "second");
    server_close(&server);
    arena_done(&asker.arena);
}

/* Cut short by UDP; by TCP one byte at a time. */
static void serve_cut(struct server *server)
{
    struct arena arena = {0};
    if (server->connection < 0) {
        struct str packet = answer_packet(&arena, server, "");
        ((char *)(uintptr_t)packet.at)[2] |= 2;
        send_back(server, server->udp, packet);
    } else if (server->n > 2) {
        memmove(server->packet, server->packet + 2, server->n - 2);
        server->n -= 2;
        struct str packet = answer_packet(&arena, server, "whole");
        char head[2] = {(char)(packet.n >> 8), (char)(packet.n & 0xff)};
        send(server->connection, head, 1, 0);
        send(server->connection, head + 1, 1, 0);
        for (size_t i = 0; i < packet.n; i++)
            send(server->connection, packet.at + i, 1, 0);
    }
    arena_done(&arena);
}

static void test_tcp_after_truncation(void **state)
{
    (void)state;
    struct server server;
    struct asker asker = {.n = 1};
    server_open(&server, serve_cut);
    ask_dns(&asker, &server);
    assert_int_equal(asker.got, 1);
    assert_string_equal(asker.dns.records[0].at, "whole");
    server_close(&server);
    arena_done(&asker.arena);
}

static void serve_truth(struct server *server)
{
    struct arena arena = {0};
    send_back(server, server->udp, answer_packet(&arena, server, "truth"));
    arena_done(&arena);
}

static void test_many_at_once(void **state)
{
    (void)state;
    struct server server;
    struct asker asker = {.n = MAX_ANSWERS, .try_ms = 9000}; /* more than sockets at a time */
    server_open(&server, serve_truth);
    ask_dns(&asker, &server);
    assert_int_equal(asker.got, MAX_ANSWERS);
    assert_string_equal(asker.dns.records[0].at, "truth");
    server_close(&server);
    arena_done(&asker.arena);
}

static void test_nobody_listens(void **state)
{
    (void)state;
    struct server server, gone;
    struct asker asker = {.n = 1};
    server_open(&server, serve_truth);
    server_open(&gone, serve_truth);
    server_close(&gone);
    int port = server.port;
    server.port = gone.port;
    ask_dns(&asker, &server);
    server.port = port;
    assert_int_equal(asker.got, 1);
    assert_int_equal(asker.dns.delivery.how, DELIVER_REFUSED);
    server_close(&server);
}

static void test_places(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",      "127.0.0.1", "127.0.0.1:",     "127.0.0.1:0",  "127.0.0.1:65536", "host.test:53", "::1:53",
        "[::1]", "[::1]53",   "[127.0.0.1]:53", "127.0.0.1:5x", "1.2.3.4.5:53",    "[::1%lo]:53"};
    for (size_t i = 0; i < COUNTOF(bad); i++) {
        struct edge *edge = NULL;
        assert_int_equal(edge_resolve_new(&(struct edge_resolve_options){.server = bad[i]}, &edge), ERR_MALFORMED);
        assert_null(edge);
    }
    struct edge *edge;
    assert_int_equal(edge_resolve_new(&(struct edge_resolve_options){.server = "[::1]:53"}, &edge), OK);
    edge->free(edge);
}

/* --- TLS --- */

static const char *tls_says;
static size_t tls_says_n;

static void serve_tls(struct server *server)
{
    if (server->n) send(server->connection, tls_says, tls_says_n, MSG_NOSIGNAL);
    close(server->connection);
    server->connection = -1;
}

static void test_handshakes_that_fail(void **state)
{
    (void)state;
    static const struct {
        struct str says;
        enum delivery_how how;
        const char *alert;
        bool plain_http;
    } rows[] = {
        {{"", 0},                                     DELIVER_CLOSED,  "",                        false},
        {{"HTTP/1.1 400 Bad\r\n\r\n", 20},            DELIVER_GARBAGE, "",                        true },
        {{"220 mail.test ESMTP\r\n", 21},             DELIVER_GARBAGE, "",                        false},
        {{"\x15\x03\x03\x00\x02\x02\x78", 7},         DELIVER_WHOLE,   "no_application_protocol", false},
        {{"\x15\x03\x03\x00\x02\x02\x50", 7},         DELIVER_WHOLE,   "internal_error",          false},
        {{"\x16\x03\x03\x00\x04\x02\x00\x00\x00", 9}, DELIVER_GARBAGE, "",                        false},
        {{"\x16\x03", 2},                             DELIVER_CLOSED,  "",                        false},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct server server;
        char place[40];
        tls_says = rows[i].says.at;
        tls_says_n = rows[i].says.n;
        server_open(&server, serve_tls);
        snprintf(place, sizeof place, "127.0.0.1:%d", server.port);
        struct asker asker = {.n = 1, .kind = MSG_TLS_HELLO, .connect = str_c(place)};
        asker_run(&asker, &server, edge_handshake_new(&(struct edge_handshake_options){.limit_ms = 5000}));
        if (asker.got != 1 || asker.tls.delivery.how != rows[i].how || asker.tls.plain_http != rows[i].plain_http)
            fail_msg("row %zu: %s", i, delivery_text(asker.tls.delivery.how));
        assert_int_equal(asker.tls.alert.n, strlen(rows[i].alert));
        if (asker.tls.alert.n) assert_string_equal(asker.tls.alert.at, rows[i].alert);
        server_close(&server);
        arena_done(&asker.arena);
    }
}

static void test_places_that_are_none(void **state)
{
    (void)state;
    static const char *const places[] = {"", "nonsense", "127.0.0.1:0"};
    for (size_t i = 0; i < COUNTOF(places); i++) {
        struct server server;
        struct asker asker = {.n = 1, .kind = MSG_TLS_HELLO, .connect = str_c(places[i])};
        server_open(&server, serve_tls);
        asker_run(&asker, &server, edge_handshake_new(&(struct edge_handshake_options){0}));
        assert_int_equal(asker.got, 1);
        assert_int_equal(asker.tls.delivery.how, DELIVER_REFUSED);
        server_close(&server);
        arena_done(&asker.arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lies_are_ignored),     cmocka_unit_test(test_asks_twice),
        cmocka_unit_test(test_tcp_after_truncation), cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_nobody_listens),       cmocka_unit_test(test_places),
        cmocka_unit_test(test_handshakes_that_fail), cmocka_unit_test(test_places_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
