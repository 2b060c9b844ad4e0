#include "wire/dns_ask.h"

#include <arpa/inet.h>
#include <ldns/ldns.h>
#include <string.h>
#include <strings.h>

enum { HEADER_BYTES = 12, NAME_MAX_TEXT = 1023, MAX_ALIASES = 16 };

enum err dns_write_query(struct arena *arena, const struct dns_query *query, uint16_t id, struct str *ret_packet)
{
    char text[NAME_MAX_TEXT + 1];
    if (query->name.n == 0 || query->name.n > NAME_MAX_TEXT || memchr(query->name.at, 0, query->name.n) ||
        query->type < 0 || query->type > 65535)
        return ERR_MALFORMED;
    memcpy(text, query->name.at, query->name.n);
    text[query->name.n] = 0;
    ldns_rdf *name = ldns_dname_new_frm_str(text);
    if (!name) return ERR_MALFORMED;
    ldns_pkt *packet = ldns_pkt_query_new(name, (ldns_rr_type)query->type, LDNS_RR_CLASS_IN, LDNS_RD);
    if (!packet) {
        ldns_rdf_deep_free(name);
        return ERR_MALFORMED;
    }
    ldns_pkt_set_id(packet, id);
    if (query->max_bytes > 512)
        ldns_pkt_set_edns_udp_size(packet, (uint16_t)(query->max_bytes > 65535 ? 65535 : query->max_bytes));
    uint8_t *wire = NULL;
    size_t n = 0;
    enum err err = ldns_pkt2wire(&wire, packet, &n) == LDNS_STATUS_OK ? OK : ERR_MALFORMED;
    if (err == OK) *ret_packet = (struct str){arena_copy(arena, wire, n), n};
    free(wire);
    ldns_pkt_free(packet);
    return err;
}

/* --- reading --- */

/* A name as a text: lower case, without the final dot. */
static struct str name_text(struct arena *arena, const ldns_rdf *name)
{
    char *text = name ? ldns_rdf2str(name) : NULL;
    struct str copy = str_copy(arena, str_c(text));
    char *at = (char *)(uintptr_t)copy.at;
    free(text);
    if (copy.n && at[copy.n - 1] == '.') copy.n--;
    for (size_t i = 0; i < copy.n; i++)
        if (at[i] >= 'A' && at[i] <= 'Z') at[i] = (char)(at[i] - 'A' + 'a');
    return copy;
}

static struct str address_text(struct arena *arena, int family, const ldns_rr *rr)
{
    char text[INET6_ADDRSTRLEN];
    const ldns_rdf *rdf = ldns_rr_rdf(rr, 0);
    size_t size = family == AF_INET ? 4 : 16;
    if (!rdf || ldns_rdf_size(rdf) != size || !inet_ntop(family, ldns_rdf_data(rdf), text, sizeof text))
        return (struct str){0};
    return str_copy(arena, str_c(text));
}

static struct str txt_text(struct arena *arena, const ldns_rr *rr)
{
    struct buf buf = {.arena = arena};
    for (size_t i = 0; i < ldns_rr_rd_count(rr); i++) {
        const ldns_rdf *rdf = ldns_rr_rdf(rr, i);
        size_t n = ldns_rdf_size(rdf);
        if (n > 1) buf_add(&buf, (struct str){(const char *)ldns_rdf_data(rdf) + 1, n - 1}); /* after its length */
    }
    return str_copy(arena, buf_str(&buf));
}

static struct str caa_text(struct arena *arena, const ldns_rr *rr)
{
    struct buf buf = {.arena = arena};
    const ldns_rdf *flags = ldns_rr_rdf(rr, 0), *tag = ldns_rr_rdf(rr, 1), *value = ldns_rr_rdf(rr, 2);
    if (!flags || !tag || !value || ldns_rdf_size(flags) != 1 || ldns_rdf_size(tag) < 2) return (struct str){0};
    buf_fmt(&buf, "%u ", ldns_rdf_data(flags)[0]);
    const uint8_t *at = ldns_rdf_data(tag);
    for (size_t i = 1; i < ldns_rdf_size(tag); i++) /* what is no letter or digit is a tag that nobody knows */
        buf_add_char(&buf, at[i] > ' ' && at[i] < 0x7f && at[i] != '"' ? (char)at[i] : '?');
    buf_add_c(&buf, " \"");
    at = ldns_rdf_data(value);
    for (size_t i = 0; i < ldns_rdf_size(value); i++) {
        if (at[i] < ' ' || at[i] >= 0x7f) buf_fmt(&buf, "\\%03u", at[i]);
        else if (at[i] == '"' || at[i] == '\\') buf_fmt(&buf, "\\%c", at[i]);
        else buf_add_char(&buf, (char)at[i]);
    }
    buf_add_char(&buf, '"');
    return str_copy(arena, buf_str(&buf));
}

/* .at NULL: not a record of ours. */
static struct str record_text(struct arena *arena, const ldns_rr *rr, int type)
{
    switch (type) {
    case DNS_A: return address_text(arena, AF_INET, rr);
    case DNS_AAAA: return address_text(arena, AF_INET6, rr);
    case DNS_TXT: return txt_text(arena, rr);
    case DNS_CNAME: return name_text(arena, ldns_rr_rdf(rr, 0));
    case DNS_CAA: return caa_text(arena, rr);
    default: return (struct str){0};
    }
}

static bool is_named(const ldns_rr *rr, struct str name)
{
    char *text = ldns_rr_owner(rr) ? ldns_rdf2str(ldns_rr_owner(rr)) : NULL;
    struct str owner = str_c(text);
    if (owner.n && owner.at[owner.n - 1] == '.') owner.n--;
    bool same = text && owner.n == name.n && strncasecmp(owner.at, name.at, name.n) == 0;
    free(text);
    return same;
}

static bool owned_by(const ldns_rr *rr, struct str name, int type)
{
    return (int)ldns_rr_get_type(rr) == type && ldns_rr_get_class(rr) == LDNS_RR_CLASS_IN && is_named(rr, name);
}

/* Where the name is an alias for in this answer; .at NULL: it is none. */
static struct str alias_of(struct arena *arena, const ldns_rr_list *list, struct str name)
{
    for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
        const ldns_rr *rr = ldns_rr_list_rr(list, i);
        if (owned_by(rr, name, DNS_CNAME)) return record_text(arena, rr, DNS_CNAME);
    }
    return (struct str){0};
}

static void read_records(struct arena *arena, const ldns_rr_list *list, struct dns_answer *ret)
{
    struct str name = ret->name, alias;
    for (int hops = 0; hops < MAX_ALIASES && ret->type != DNS_CNAME; hops++) {
        alias = alias_of(arena, list, name);
        if (!alias.n) break;
        name = alias;
    }
    for (size_t i = 0; i < ldns_rr_list_rr_count(list) && ret->n_records < DNS_MAX_RECORDS; i++) {
        const ldns_rr *rr = ldns_rr_list_rr(list, i);
        if (!owned_by(rr, name, ret->type)) continue;
        struct str record = record_text(arena, rr, ret->type);
        if (record.at) ret->records[ret->n_records++] = record;
    }
    if (ret->n_records || ret->rcode != DNS_NOERROR || str_eq(name, ret->name)) return;
    ret->type = DNS_CNAME;
    ret->records[ret->n_records++] = name;
}

static bool is_answer_to(const ldns_pkt *packet, const struct dns_query *query, uint16_t id)
{
    if (!ldns_pkt_qr(packet) || ldns_pkt_id(packet) != id || ldns_pkt_get_opcode(packet) != LDNS_PACKET_QUERY ||
        ldns_pkt_qdcount(packet) != 1)
        return false;
    const ldns_rr *question = ldns_rr_list_rr(ldns_pkt_question(packet), 0);
    return question && owned_by(question, query->name, query->type);
}

enum err dns_read_answer(struct arena *arena, struct str packet, const struct dns_query *query, uint16_t id,
                         struct dns_answer *ret, bool *ret_truncated)
{
    ldns_pkt *parsed = NULL;
    if (packet.n < HEADER_BYTES || packet.n > 65535) return ERR_MALFORMED;
    if (ldns_wire2pkt(&parsed, (const uint8_t *)packet.at, packet.n) != LDNS_STATUS_OK) return ERR_MALFORMED;
    enum err err = is_answer_to(parsed, query, id) ? OK : ERR_MALFORMED;
    if (err == OK) {
        *ret = (struct dns_answer){.name = query->name, .type = query->type};
        ret->rcode = (enum dns_rcode)ldns_pkt_get_rcode(parsed);
        *ret_truncated = ldns_pkt_tc(parsed);
        read_records(arena, ldns_pkt_answer(parsed), ret);
    }
    ldns_pkt_free(parsed);
    return err;
}
