#include "wire/dns.h"

#include <arpa/inet.h>
#include <ldns/ldns.h>
#include <string.h>

enum { HEADER_BYTES = 12, TXT_PART = 255, NAME_MAX_TEXT = 1023 };

/* The zone that every name is in. */
#define SOA "acmedrill.invalid. 0 IN SOA ns.acmedrill.invalid. hostmaster.acmedrill.invalid. 1 1 1 1 1"

const char *dns_rcode_text(enum dns_rcode rcode)
{
    static const char *const texts[] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"};
    return (unsigned)rcode < COUNTOF(texts) ? texts[rcode] : "RCODE";
}

const char *dns_type_text(int type)
{
    switch (type) {
    case DNS_A: return "A";
    case DNS_CNAME: return "CNAME";
    case DNS_TXT: return "TXT";
    case DNS_AAAA: return "AAAA";
    case DNS_CAA: return "CAA";
    default: return "TYPE";
    }
}

static enum err read_question(struct arena *arena, const ldns_pkt *packet, struct dns_query *ret)
{
    if (ldns_pkt_qr(packet)) return ERR_MALFORMED;
    if (ldns_pkt_get_opcode(packet) != LDNS_PACKET_QUERY || ldns_pkt_qdcount(packet) != 1) return ERR_REFUSED;
    const ldns_rr *question = ldns_rr_list_rr(ldns_pkt_question(packet), 0);
    if (!question) return ERR_MALFORMED;
    if (ldns_rr_get_class(question) != LDNS_RR_CLASS_IN) return ERR_REFUSED;
    char *text = ldns_rdf2str(ldns_rr_owner(question));
    if (!text) return ERR_MALFORMED;
    size_t n = strlen(text);
    if (n && text[n - 1] == '.') n--;
    char *name = arena_copy(arena, text, n);
    free(text);
    for (size_t i = 0; i < n; i++)
        if (name[i] >= 'A' && name[i] <= 'Z') name[i] = (char)(name[i] - 'A' + 'a');
    *ret = (struct dns_query){
        .name = {name, n},
          .type = (int)ldns_rr_get_type(question)
    };
    if (ldns_pkt_edns(packet) && ldns_pkt_edns_udp_size(packet) > 512) ret->max_bytes = ldns_pkt_edns_udp_size(packet);
    return OK;
}

enum err dns_read_query(struct arena *arena, struct str packet, struct dns_query *ret, uint16_t *ret_id)
{
    ldns_pkt *parsed = NULL;
    if (packet.n < HEADER_BYTES || packet.n > 65535) return ERR_MALFORMED;
    if (ldns_wire2pkt(&parsed, (const uint8_t *)packet.at, packet.n) != LDNS_STATUS_OK) return ERR_MALFORMED;
    enum err err = read_question(arena, parsed, ret);
    *ret_id = ldns_pkt_id(parsed);
    ldns_pkt_free(parsed);
    return err;
}

static ldns_rdf *name_rdf(struct str name)
{
    char text[NAME_MAX_TEXT + 2];
    if (name.n > NAME_MAX_TEXT || (name.n && memchr(name.at, 0, name.n))) return NULL;
    if (name.n) memcpy(text, name.at, name.n);
    size_t n = name.n;
    if (n == 0) text[n++] = '.';
    text[n] = 0;
    return ldns_dname_new_frm_str(text);
}

static bool push_txt(ldns_rr *rr, struct str text)
{
    do {
        uint8_t part[TXT_PART + 1];
        size_t n = text.n < TXT_PART ? text.n : TXT_PART;
        part[0] = (uint8_t)n;
        if (n) memcpy(part + 1, text.at, n);
        ldns_rdf *rdf = ldns_rdf_new_frm_data(LDNS_RDF_TYPE_STR, n + 1, part);
        if (!rdf) return false;
        ldns_rr_push_rdf(rr, rdf);
        if (n) text.at += n; /* an empty text may have no address */
        text.n -= n;
    } while (text.n);
    return true;
}

static bool push_address(ldns_rr *rr, int family, struct str record)
{
    char text[INET6_ADDRSTRLEN];
    uint8_t bytes[16];
    if (record.n == 0 || record.n >= sizeof text) return false;
    memcpy(text, record.at, record.n);
    text[record.n] = 0;
    if (inet_pton(family, text, bytes) != 1) return false;
    ldns_rdf *rdf = family == AF_INET ? ldns_rdf_new_frm_data(LDNS_RDF_TYPE_A, 4, bytes)
                                      : ldns_rdf_new_frm_data(LDNS_RDF_TYPE_AAAA, 16, bytes);
    if (!rdf) return false;
    ldns_rr_push_rdf(rr, rdf);
    return true;
}

/* Other types in presentation form: a CAA record is `0 issue "ca.example"`. */
static ldns_rr *parsed_record(int type, struct str record)
{
    char text[1024];
    const ldns_rr_descriptor *known = ldns_rr_descript((uint16_t)type);
    if (!known->_name || record.n > 900 || (record.n && memchr(record.at, 0, record.n))) return NULL;
    snprintf(text, sizeof text, "x. 0 IN %s %.*s", known->_name, STR_ARGS(record));
    ldns_rr *rr = NULL;
    return ldns_rr_new_frm_str(&rr, text, 0, NULL, NULL) == LDNS_STATUS_OK ? rr : NULL;
}

static ldns_rr *record_rr(const struct dns_answer *answer, struct str record)
{
    ldns_rr *rr;
    bool ok = true;
    if (answer->type == DNS_CAA) {
        rr = parsed_record(answer->type, record);
        if (!rr) return NULL;
        ldns_rdf_deep_free(ldns_rr_owner(rr));
    } else {
        rr = ldns_rr_new();
        ldns_rr_set_type(rr, (ldns_rr_type)answer->type);
        ldns_rr_set_class(rr, LDNS_RR_CLASS_IN);
        ldns_rdf *target = NULL;
        switch (answer->type) {
        case DNS_A: ok = push_address(rr, AF_INET, record); break;
        case DNS_AAAA: ok = push_address(rr, AF_INET6, record); break;
        case DNS_TXT: ok = push_txt(rr, record); break;
        case DNS_CNAME:
            target = name_rdf(record);
            ok = target != NULL;
            if (ok) ldns_rr_push_rdf(rr, target);
            break;
        default: ok = false; break;
        }
    }
    ldns_rr_set_owner(rr, NULL);
    ldns_rdf *owner = ok ? name_rdf(answer->alias.n ? answer->alias : answer->name) : NULL;
    if (!owner) {
        ldns_rr_free(rr);
        return NULL;
    }
    ldns_rr_set_owner(rr, owner);
    ldns_rr_set_ttl(rr, 0);
    return rr;
}

/* A record in presentation form, owner first. */
static bool push_text(ldns_pkt *packet, ldns_pkt_section section, const char *text)
{
    ldns_rr *rr = NULL;
    return ldns_rr_new_frm_str(&rr, text, 0, NULL, NULL) == LDNS_STATUS_OK && ldns_pkt_push_rr(packet, section, rr);
}

static bool push_alias(ldns_pkt *packet, struct str name, struct str alias)
{
    ldns_rdf *owner = name_rdf(name), *target = name_rdf(alias);
    ldns_rr *rr = ldns_rr_new();
    if (!owner || !target || !rr) {
        ldns_rdf_deep_free(owner);
        ldns_rdf_deep_free(target);
        ldns_rr_free(rr);
        return false;
    }
    ldns_rr_set_owner(rr, owner);
    ldns_rr_set_type(rr, LDNS_RR_TYPE_CNAME);
    ldns_rr_set_class(rr, LDNS_RR_CLASS_IN);
    ldns_rr_set_ttl(rr, 0);
    ldns_rr_push_rdf(rr, target);
    return ldns_pkt_push_rr(packet, LDNS_SECTION_ANSWER, rr);
}

static enum err pack(struct arena *arena, const ldns_pkt *packet, struct str *ret)
{
    uint8_t *wire = NULL;
    size_t n = 0;
    if (ldns_pkt2wire(&wire, packet, &n) != LDNS_STATUS_OK) return ERR_MALFORMED;
    *ret = (struct str){arena_copy(arena, wire, n), n};
    free(wire);
    return OK;
}

/* The name in a question is never compressed: same length, other case. */
static void echo_case(struct str asked, struct str packet)
{
    char *to = (char *)(uintptr_t)packet.at;
    for (size_t i = HEADER_BYTES; i < asked.n && i < packet.n && asked.at[i]; i++) {
        char lower = asked.at[i];
        if (lower >= 'A' && lower <= 'Z') lower = (char)(lower - 'A' + 'a');
        if (to[i] == lower) to[i] = asked.at[i];
    }
}

enum err dns_write_answer(struct arena *arena, const struct dns_answer *answer, uint16_t id, size_t max_bytes,
                          struct str asked, struct str *ret_packet)
{
    enum err err = ERR_MALFORMED;
    struct str wire = {0};
    ldns_rdf *name = name_rdf(answer->name);
    ldns_pkt *packet = ldns_pkt_new();
    if (!name || !packet || answer->n_records > DNS_MAX_RECORDS || answer->type < 0 || answer->type > 65535) goto out;
    ldns_pkt_set_id(packet, answer->delivery.how == DELIVER_GARBAGE ? (uint16_t)~id : id);
    ldns_pkt_set_qr(packet, true);
    ldns_pkt_set_aa(packet, true);
    ldns_pkt_set_rd(packet, asked.n > 2 && (asked.at[2] & 1));
    ldns_pkt_set_rcode(packet, (uint8_t)answer->rcode);
    ldns_rr *question = ldns_rr_new();
    ldns_rr_set_question(question, true);
    ldns_rr_set_owner(question, name);
    name = NULL;
    ldns_rr_set_type(question, (ldns_rr_type)answer->type);
    ldns_rr_set_class(question, LDNS_RR_CLASS_IN);
    ldns_pkt_push_rr(packet, LDNS_SECTION_QUESTION, question);
    if (answer->alias.n && !push_alias(packet, answer->name, answer->alias)) goto out;
    for (size_t i = 0; i < answer->n_records; i++) {
        ldns_rr *rr = record_rr(answer, answer->records[i]);
        if (!rr) goto out;
        ldns_pkt_push_rr(packet, LDNS_SECTION_ANSWER, rr);
    }
    if (answer->has_soa && !push_text(packet, LDNS_SECTION_AUTHORITY, SOA)) goto out;
    err = pack(arena, packet, &wire);
    bool cut = answer->delivery.how == DELIVER_TRUNCATED && max_bytes < DNS_MAX_PACKET;
    if (err == OK && (cut || wire.n > (max_bytes ? max_bytes : 512))) {
        while (ldns_rr_list_rr_count(ldns_pkt_answer(packet)))
            ldns_rr_free(ldns_rr_list_pop_rr(ldns_pkt_answer(packet)));
        ldns_pkt_set_ancount(packet, 0);
        ldns_pkt_set_tc(packet, true);
        err = pack(arena, packet, &wire);
    }
    if (err == OK) {
        echo_case(asked, wire);
        *ret_packet = wire;
    }
out:
    ldns_rdf_deep_free(name);
    ldns_pkt_free(packet);
    return err;
}

struct str dns_write_rcode(struct arena *arena, struct str asked, enum dns_rcode rcode)
{
    char *header = arena_alloc(arena, HEADER_BYTES);
    memcpy(header, asked.at, 3);
    header[2] = (char)((header[2] & 0x79) | 0x80);
    header[3] = (char)rcode;
    return (struct str){header, HEADER_BYTES};
}

bool dns_answer_leaves(const struct dns_answer *answer)
{
    enum delivery_how how = answer->delivery.how;
    return how == DELIVER_WHOLE || how == DELIVER_SLOW || how == DELIVER_TRUNCATED || how == DELIVER_GARBAGE;
}
