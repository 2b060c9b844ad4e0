#include "wire/dns.h"

#include <arpa/inet.h>
#include <ldns/ldns.h>
#include <string.h>

enum { HEADER_BYTES = 12, TXT_PART = 255, NAME_MAX_TEXT = 1023 };

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

/* --- writing --- */

/* By hand, but for what has a text to be parsed: an answer by libldns costs several times as much, and buffers of 64
 * KiB. */
struct writing {
    struct buf out;
    const struct dns_answer *answer;
    size_t target; /* where the alias's name stands; 0: not written */
};

static void add_number(struct buf *out, unsigned number, int bytes)
{
    char at[4];
    for (int i = 0; i < bytes; i++)
        at[i] = (char)(number >> (8 * (bytes - 1 - i)));
    buf_add(out, (struct str){at, (size_t)bytes});
}

/* The escapes of presentation form are libldns's affair. */
static bool add_name(struct buf *out, struct str name)
{
    ldns_rdf *rdf = name_rdf(name);
    if (!rdf) return false;
    buf_add(out, (struct str){(const char *)ldns_rdf_data(rdf), ldns_rdf_size(rdf)});
    ldns_rdf_deep_free(rdf);
    return true;
}

static void add_pointer(struct buf *out, size_t to)
{
    add_number(out, 0xc000 | (unsigned)to, 2);
}

static void add_head(struct buf *out, int type)
{
    add_number(out, (unsigned)type, 2);
    add_number(out, LDNS_RR_CLASS_IN, 2);
    add_number(out, 0, 4); /* TTL */
}

static bool add_txt(struct buf *out, struct str text)
{
    do {
        size_t n = text.n < TXT_PART ? text.n : TXT_PART;
        add_number(out, (unsigned)n, 1);
        if (n) buf_add(out, (struct str){text.at, n});
        if (n) text.at += n; /* an empty text may have no address */
        text.n -= n;
    } while (text.n);
    return true;
}

static bool add_address(struct buf *out, int family, struct str record)
{
    char text[INET6_ADDRSTRLEN], bytes[16];
    if (record.n == 0 || record.n >= sizeof text) return false;
    memcpy(text, record.at, record.n);
    text[record.n] = 0;
    if (inet_pton(family, text, bytes) != 1) return false;
    buf_add(out, (struct str){bytes, family == AF_INET ? 4 : 16});
    return true;
}

/* Other types in presentation form: a CAA record is `0 issue "ca.example"`. */
static bool add_parsed(struct buf *out, int type, struct str record)
{
    char text[1024];
    const ldns_rr_descriptor *known = ldns_rr_descript((uint16_t)type);
    if (!known->_name || record.n > 900 || (record.n && memchr(record.at, 0, record.n))) return false;
    snprintf(text, sizeof text, "x. 0 IN %s %.*s", known->_name, STR_ARGS(record));
    ldns_rr *rr = NULL;
    if (ldns_rr_new_frm_str(&rr, text, 0, NULL, NULL) != LDNS_STATUS_OK) return false;
    for (size_t i = 0; i < ldns_rr_rd_count(rr); i++) {
        const ldns_rdf *rdf = ldns_rr_rdf(rr, i);
        buf_add(out, (struct str){(const char *)ldns_rdf_data(rdf), ldns_rdf_size(rdf)});
    }
    ldns_rr_free(rr);
    return true;
}

static bool add_data(struct buf *out, int type, struct str record)
{
    switch (type) {
    case DNS_A: return add_address(out, AF_INET, record);
    case DNS_AAAA: return add_address(out, AF_INET6, record);
    case DNS_TXT: return add_txt(out, record);
    case DNS_CNAME: return add_name(out, record);
    case DNS_CAA: return add_parsed(out, type, record);
    default: return false;
    }
}

/* The length of what comes stands before it. */
static size_t begin_data(struct buf *out)
{
    add_number(out, 0, 2);
    return out->n;
}

static bool end_data(struct buf *out, size_t from)
{
    size_t n = out->n - from;
    if (n > 65535) return false;
    out->at[from - 2] = (char)(n >> 8);
    out->at[from - 1] = (char)n;
    return true;
}

static bool add_record(struct writing *writing, struct str record)
{
    struct buf *out = &writing->out;
    add_pointer(out, writing->target ? writing->target : HEADER_BYTES);
    add_head(out, writing->answer->type);
    size_t from = begin_data(out);
    return add_data(out, writing->answer->type, record) && end_data(out, from);
}

static bool add_alias(struct writing *writing)
{
    struct buf *out = &writing->out;
    add_pointer(out, HEADER_BYTES);
    add_head(out, DNS_CNAME);
    size_t from = begin_data(out);
    writing->target = from;
    return add_name(out, writing->answer->alias) && end_data(out, from);
}

/* The zone that every name is in: serial, refresh, retry, expire and minimum are all 1. */
static void add_soa(struct buf *out)
{
    size_t zone = out->n;
    buf_add(out, STR("\x09"
                     "acmedrill"
                     "\x07"
                     "invalid"));
    add_number(out, 0, 1);
    add_head(out, LDNS_RR_TYPE_SOA);
    size_t from = begin_data(out);
    buf_add(out, STR("\x02ns"));
    add_pointer(out, zone);
    buf_add(out, STR("\x0ahostmaster"));
    add_pointer(out, zone);
    for (int i = 0; i < 5; i++)
        add_number(out, 1, 4);
    end_data(out, from);
}

static bool write_packet(struct writing *writing, unsigned id, bool recurses, bool cut)
{
    const struct dns_answer *answer = writing->answer;
    struct buf *out = &writing->out;
    bool alias = answer->alias.n && !cut;
    size_t n = cut ? 0 : answer->n_records;
    out->n = writing->target = 0;
    add_number(out, id, 2);
    add_number(out, 0x8400 | (cut ? 0x0200 : 0) | (recurses ? 0x0100 : 0) | (unsigned)answer->rcode, 2);
    add_number(out, 1, 2);
    add_number(out, (unsigned)(n + alias), 2);
    add_number(out, answer->has_soa, 2);
    add_number(out, 0, 2);
    if (!add_name(out, answer->name)) return false;
    add_number(out, (unsigned)answer->type, 2);
    add_number(out, LDNS_RR_CLASS_IN, 2);
    if (alias && !add_alias(writing)) return false;
    for (size_t i = 0; i < n; i++)
        if (!add_record(writing, answer->records[i])) return false;
    if (answer->has_soa) add_soa(out);
    return out->n <= DNS_MAX_PACKET;
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
    struct writing writing = {.out = {.arena = arena}, .answer = answer};
    bool recurses = asked.n > 2 && (asked.at[2] & 1);
    unsigned said_id = answer->delivery.how == DELIVER_GARBAGE ? (uint16_t)~id : id;
    if (answer->n_records > DNS_MAX_RECORDS || answer->type < 0 || answer->type > 65535) return ERR_MALFORMED;
    if (!write_packet(&writing, said_id, recurses, false)) return ERR_MALFORMED;
    bool cut = answer->delivery.how == DELIVER_TRUNCATED && max_bytes < DNS_MAX_PACKET;
    if ((cut || writing.out.n > (max_bytes ? max_bytes : 512)) && !write_packet(&writing, said_id, recurses, true))
        return ERR_MALFORMED;
    *ret_packet = buf_str(&writing.out);
    echo_case(asked, *ret_packet);
    return OK;
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
