#include "world/edge_fetch.h"

#include "world/clock.h"
#include "world/curl_calls.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Well below FD_SETSIZE: select() is what waits for them. More requests than that queue up inside libcurl. */
enum { MAX_CONNECTIONS = 128, FOR_EVER_MS = 3600 * 1000 };

static const struct curl_calls *curl; /* NULL: nothing was fetched yet */

struct fetch_edge {
    struct edge edge;
    CURLM *multi; /* NULL: nothing was fetched yet */
    char *trust_file, *connect_to;
    struct curl_slist *connect_list;
    int64_t limit_ms;
    size_t max_body;
    struct fetch *fetches; /* all that are under way */
};

/* One request under way, and the answer that it becomes. */
struct fetch {
    struct fetch *next, **prev;
    struct fetch_edge *owner;
    CURL *easy;
    struct curl_slist *headers, *connect_list;
    struct msg *request, *answer;
    int64_t due_ms; /* the asker's own limit, by the hall's clock as the asker reads it; 0 = none */
    struct buf body;
    bool body_full, sent_once;
    char error[CURL_ERROR_SIZE];
};

static void no_memory(void)
{
    fputs("acmedrill: out of memory\n", stderr);
    abort();
}

static void fetch_free(struct fetch *fetch)
{
    if (!fetch) return;
    if (fetch->prev) {
        *fetch->prev = fetch->next;
        if (fetch->next) fetch->next->prev = fetch->prev;
    }
    if (fetch->easy) {
        curl->multi_remove_handle(fetch->owner->multi, fetch->easy);
        curl->easy_cleanup(fetch->easy);
    }
    if (fetch->headers) curl->slist_free_all(fetch->headers);
    if (fetch->connect_list) curl->slist_free_all(fetch->connect_list);
    msg_free(fetch->request);
    msg_free(fetch->answer);
    free(fetch);
}

static size_t on_header(char *at, size_t size, size_t n, void *context)
{
    struct fetch *fetch = context;
    struct str line = {at, size * n}, name, value;
    if (str_starts(line, "HTTP/")) { /* a status line: what came before was a 1xx answer */
        fetch->answer->as.response.headers = NULL;
    } else if (str_cut(line, ':', &name, &value) && name.n) {
        char *c_name = arena_copy(&fetch->answer->arena, name.at, name.n);
        msg_header(fetch->answer, c_name, str_trim(value));
    }
    return size * n;
}

static size_t on_body(char *at, size_t size, size_t n, void *context)
{
    struct fetch *fetch = context;
    size_t room = fetch->owner->max_body - fetch->body.n, take = size * n;
    if (take > room) {
        fetch->body_full = true;
        take = room;
    }
    buf_add(&fetch->body, (struct str){at, take});
    return fetch->body_full ? CURL_WRITEFUNC_ERROR : size * n;
}

/* libcurl sends a request again by itself when a kept connection dies under it. What the log does not show must not
 * happen: the second time is refused. */
static int on_about_to_send(void *context, char *ip, char *local_ip, int port, int local_port)
{
    (void)ip, (void)local_ip, (void)port, (void)local_port;
    struct fetch *fetch = context;
    if (fetch->sent_once) return CURL_PREREQFUNC_ABORT;
    fetch->sent_once = true;
    return CURL_PREREQFUNC_OK;
}

/* Aborted is what was refused to be sent again: the error that libcurl kept is that of the first time. */
static bool was_reset(const struct fetch *fetch)
{
    return str_find(str_c(fetch->error), "reset by peer") >= 0;
}

static enum delivery_how how_of(CURLcode code, bool has_status)
{
    switch (code) {
    case CURLE_OK: return DELIVER_WHOLE;
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_URL_MALFORMAT: return DELIVER_REFUSED;
    case CURLE_OPERATION_TIMEDOUT: return DELIVER_HANG;
    case CURLE_GOT_NOTHING:
    case CURLE_ABORTED_BY_CALLBACK: return DELIVER_CLOSED;
    case CURLE_PARTIAL_FILE: return DELIVER_TRUNCATED;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING: return DELIVER_GARBAGE;
    case CURLE_RECV_ERROR: return has_status ? DELIVER_TRUNCATED : DELIVER_RESET;
    default: return DELIVER_RESET;
    }
}

static void finish(struct fetch *fetch, struct hall *hall, CURLcode code)
{
    struct msg *answer = fetch->answer;
    struct http_response *response = &answer->as.response;
    long status = 0;
    if (fetch->easy) curl->easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_WRITE_ERROR && fetch->body_full) code = CURLE_OK;
    response->delivery.how = how_of(code, status >= 200);
    if (code == CURLE_ABORTED_BY_CALLBACK && was_reset(fetch)) response->delivery.how = DELIVER_RESET;
    /* Headers came and the body did not: a body that takes longer than anybody waits. */
    if (response->delivery.how == DELIVER_HANG && status >= 200 && fetch->due_ms)
        response->delivery = (struct delivery){.how = DELIVER_SLOW, .over_ms = FOR_EVER_MS};
    if (delivery_has_status(response->delivery.how)) {
        response->status = (int)status;
        response->body = buf_str(&fetch->body);
        if (response->delivery.how == DELIVER_TRUNCATED) response->delivery.at_byte = response->body.n;
    } else {
        const char *why = fetch->error[0] ? fetch->error : curl->easy_strerror(code);
        response->headers = NULL;
        response->body = str_copy(&answer->arena, str_c(why));
    }
    fetch->answer = NULL;
    fetch_free(fetch);
    hall_arrive(hall, answer);
}

static bool is_clean(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.at[i] == '\r' || s.at[i] == '\n' || s.at[i] == 0) return false;
    return true;
}

static void add_line(struct fetch *fetch, const char *line)
{
    struct curl_slist *longer = curl->slist_append(fetch->headers, line);
    if (longer) fetch->headers = longer;
}

static void set_headers(struct fetch *fetch)
{
    const struct http_request *request = &fetch->request->as.request;
    struct arena *arena = &fetch->request->arena;
    for (size_t i = 0; request->headers && i < request->headers->n; i++) {
        const struct header *header = &request->headers->at[i];
        if (!header->name.n || !is_clean(header->name) || !is_clean(header->value)) continue;
        if (str_is_nocase(header->name, "Content-Length")) continue; /* libcurl's, from the body */
        /* "Name;" is libcurl's way to write a header without a value. */
        const char *form = header->value.n ? "%.*s: %.*s" : "%.*s;%.*s";
        add_line(fetch, str_fmt(arena, form, STR_ARGS(header->name), STR_ARGS(header->value)).at);
    }
    add_line(fetch, "Expect:");
    if (!headers_get(request->headers, "Content-Type").at) add_line(fetch, "Content-Type:");
    if (!headers_get(request->headers, "User-Agent").at) add_line(fetch, "User-Agent: acmedrill/" ACMEDRILL_VERSION);
    curl->easy_setopt(fetch->easy, CURLOPT_HTTPHEADER, fetch->headers);
}

static void set_method(struct fetch *fetch)
{
    const struct http_request *request = &fetch->request->as.request;
    CURL *easy = fetch->easy;
    if (str_is(request->method, "HEAD")) {
        curl->easy_setopt(easy, CURLOPT_NOBODY, 1L);
        return;
    }
    if (request->body.n || str_is(request->method, "POST")) {
        curl->easy_setopt(easy, CURLOPT_POST, 1L);
        curl->easy_setopt(easy, CURLOPT_POSTFIELDS, request->body.at ? request->body.at : "");
        curl->easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.n);
    }
    if (request->method.n && !str_is(request->method, "GET") && !str_is(request->method, "POST"))
        curl->easy_setopt(easy, CURLOPT_CUSTOMREQUEST, str_copy(&fetch->request->arena, request->method).at);
    else if (request->body.n && str_is(request->method, "GET")) curl->easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "GET");
}

/* A validator: it follows redirects to servers whose certificates nobody has issued yet. */
static void go_where_it_says(struct fetch *fetch)
{
    struct str to = fetch->request->as.request.connect;
    fetch->connect_list = curl->slist_append(NULL, str_fmt(&fetch->request->arena, "::%.*s", STR_ARGS(to)).at);
    if (!fetch->connect_list) no_memory();
    curl->easy_setopt(fetch->easy, CURLOPT_CONNECT_TO, fetch->connect_list);
    curl->easy_setopt(fetch->easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl->easy_setopt(fetch->easy, CURLOPT_SSL_VERIFYHOST, 0L);
    curl->easy_setopt(fetch->easy, CURLOPT_FRESH_CONNECT, 1L);
    curl->easy_setopt(fetch->easy, CURLOPT_FORBID_REUSE, 1L);
}

static CURLcode set_up(struct fetch *fetch)
{
    struct fetch_edge *owner = fetch->owner;
    CURL *easy = fetch->easy;
    struct str url = fetch->request->as.request.url;
    struct url parts;
    if (url_parse(url, &parts) != OK) return CURLE_URL_MALFORMAT;
    bool is_http = str_is(parts.scheme, "http");
    curl->easy_setopt(easy, CURLOPT_URL, str_copy(&fetch->request->arena, url).at);
    curl->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl->easy_setopt(easy, CURLOPT_PRIVATE, fetch);
    curl->easy_setopt(easy, CURLOPT_ERRORBUFFER, fetch->error);
    curl->easy_setopt(easy, CURLOPT_PROXY, "");
    curl->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl->easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl->easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl->easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)owner->limit_ms);
    curl->easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)owner->limit_ms);
    curl->easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl->easy_setopt(easy, CURLOPT_HEADERDATA, fetch);
    curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl->easy_setopt(easy, CURLOPT_WRITEDATA, fetch);
    curl->easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_about_to_send);
    curl->easy_setopt(easy, CURLOPT_PREREQDATA, fetch);
    if (owner->trust_file) curl->easy_setopt(easy, CURLOPT_CAINFO, owner->trust_file);
    if (fetch->request->as.request.connect.n) go_where_it_says(fetch);
    else if (is_http && owner->connect_list) curl->easy_setopt(easy, CURLOPT_CONNECT_TO, owner->connect_list);
    if (is_http) { /* validators open a connection for each query */
        curl->easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
        curl->easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    }
    set_method(fetch);
    set_headers(fetch);
    return CURLE_OK;
}

/* What has to be there before the first request. */
static bool fetch_open(struct fetch_edge *self)
{
    if (self->multi) return true;
    curl = curl_calls();
    if (!curl) return false;
    self->multi = curl->multi_init();
    if (self->connect_to) self->connect_list = curl->slist_append(NULL, self->connect_to);
    if (!self->multi || (self->connect_to && !self->connect_list)) no_memory();
    curl->multi_setopt(self->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)MAX_CONNECTIONS);
    curl->multi_setopt(self->multi, CURLMOPT_MAXCONNECTS, (long)MAX_CONNECTIONS);
    return true;
}

static void fetch_send(struct edge *edge, struct hall *hall, struct msg *msg)
{
    struct fetch_edge *self = (struct fetch_edge *)edge;
    if (msg->kind != MSG_REQUEST) {
        msg_free(msg);
        return;
    }
    struct fetch *fetch = calloc(1, sizeof *fetch);
    if (!fetch) no_memory();
    *fetch = (struct fetch){.owner = self, .request = msg, .answer = msg_new(MSG_RESPONSE)};
    fetch->body.arena = &fetch->answer->arena;
    fetch->answer->from = msg->to;
    fetch->answer->to = msg->from;
    fetch->answer->flow = msg->flow;
    fetch->next = self->fetches;
    fetch->prev = &self->fetches;
    if (fetch->next) fetch->next->prev = &fetch->next;
    self->fetches = fetch;
    if (msg->as.request.limit_ms > 0) fetch->due_ms = hall_now_ms(hall) + msg->as.request.limit_ms;
    if (!fetch_open(self)) {
        snprintf(fetch->error, sizeof fetch->error, "libcurl.so.4 cannot be loaded");
        finish(fetch, hall, CURLE_COULDNT_CONNECT);
        return;
    }
    fetch->easy = curl->easy_init();
    if (!fetch->easy) no_memory();
    CURLcode code = set_up(fetch);
    if (code == CURLE_OK && curl->multi_add_handle(self->multi, fetch->easy) != CURLM_OK) code = CURLE_FAILED_INIT;
    if (code != CURLE_OK) finish(fetch, hall, code);
}

static void fetch_prepare(struct edge *edge, struct edge_wait *wait)
{
    struct fetch_edge *self = (struct fetch_edge *)edge;
    if (!self->fetches) return;
    int max_fd = -1;
    long timeout_ms = -1;
    for (const struct fetch *fetch = self->fetches; fetch; fetch = fetch->next)
        if (fetch->due_ms && fetch->due_ms < wait->due_ms) wait->due_ms = fetch->due_ms;
    curl->multi_fdset(self->multi, &wait->read, &wait->write, &wait->except, &max_fd);
    if (max_fd > wait->max_fd) wait->max_fd = max_fd;
    curl->multi_timeout(self->multi, &timeout_ms);
    if (max_fd < 0 && (timeout_ms < 0 || timeout_ms > 50))
        timeout_ms = 50; /* libcurl waits for something without a socket */
    if (timeout_ms < 0) return;
    int64_t due_ms = clock_real_utc_ms() + timeout_ms;
    if (due_ms < wait->due_ms) wait->due_ms = due_ms;
}

static void fetch_ready(struct edge *edge, struct hall *hall, const struct edge_wait *wait)
{
    (void)wait;
    struct fetch_edge *self = (struct fetch_edge *)edge;
    if (!self->fetches) return;
    int running, left;
    curl->multi_perform(self->multi, &running);
    for (CURLMsg *note; (note = curl->multi_info_read(self->multi, &left));) {
        struct fetch *fetch = NULL;
        if (note->msg != CURLMSG_DONE) continue;
        CURLcode code = note->data.result;
        curl->easy_getinfo(note->easy_handle, CURLINFO_PRIVATE, (char **)&fetch);
        finish(fetch, hall, code);
    }
    for (struct fetch *next, *fetch = self->fetches; fetch; fetch = next) {
        next = fetch->next;
        if (fetch->due_ms && fetch->due_ms <= hall_now_ms(hall)) finish(fetch, hall, CURLE_OPERATION_TIMEDOUT);
    }
}

static void fetch_edge_free(struct edge *edge)
{
    struct fetch_edge *self = (struct fetch_edge *)edge;
    for (struct fetch *fetch = self->fetches, *next; fetch; fetch = next) {
        next = fetch->next;
        fetch_free(fetch);
    }
    if (self->multi) curl->multi_cleanup(self->multi);
    if (self->connect_list) curl->slist_free_all(self->connect_list);
    free(self->connect_to);
    free(self->trust_file);
    free(self);
}

static char *copy(const char *text)
{
    char *copied = text ? strdup(text) : NULL;
    if (text && !copied) no_memory();
    return copied;
}

struct edge *edge_fetch_new(const struct edge_fetch_options *options)
{
    signal(SIGPIPE, SIG_IGN);
    struct fetch_edge *self = calloc(1, sizeof *self);
    if (!self) no_memory();
    self->edge = (struct edge){fetch_send, fetch_prepare, fetch_ready, fetch_edge_free};
    self->limit_ms = options->limit_ms > 0 ? options->limit_ms : 30000;
    self->max_body = options->max_body ? options->max_body : HTTP_MAX_BODY;
    self->trust_file = copy(options->trust_file);
    if (options->connect_to) {
        char text[300];
        snprintf(text, sizeof text, "::%s", options->connect_to);
        self->connect_to = copy(text);
    }
    return &self->edge;
}
