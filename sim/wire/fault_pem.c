/* Faults in a certificate chain: RFC 8555 section 9.1 wants the strict form of RFC 7468, the leaf first, and no text in
 * between. What is checked here is the shape only; the certificates stay what they are. */
#include "wire/fault_inside.h"

enum { MAX_BLOCKS = 8 };
static const char begin[] = "-----BEGIN CERTIFICATE-----\n", end[] = "-----END CERTIFICATE-----\n";

/* The certificates of the body, each with its last newline. 0: the body is no chain. */
static size_t blocks_of(const struct msg *msg, struct str ret[MAX_BLOCKS])
{
    struct str rest = msg->as.response.body;
    size_t n = 0;
    while (n < MAX_BLOCKS && str_starts(rest, begin)) {
        ptrdiff_t at = str_find(rest, end);
        if (at < 0) break;
        size_t length = (size_t)at + sizeof end - 1;
        ret[n++] = (struct str){rest.at, length};
        rest = (struct str){rest.at + length, rest.n - length};
    }
    return n;
}

static bool is_chain(const struct msg *msg)
{
    struct str blocks[MAX_BLOCKS];
    return blocks_of(msg, blocks) > 0;
}

/* --- its text --- */

void fault_crlf_pem(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    struct str body = msg->as.response.body;
    struct buf out = {.arena = &msg->arena};
    if (!is_chain(msg)) return;
    for (size_t i = 0; i < body.n; i++) {
        if (body.at[i] == '\n') buf_add_char(&out, '\r');
        buf_add_char(&out, body.at[i]);
    }
    msg->as.response.body = buf_str(&out);
}

void fault_blank_line_pem(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    struct str blocks[MAX_BLOCKS];
    struct buf out = {.arena = &msg->arena};
    size_t n = blocks_of(msg, blocks);
    for (size_t i = 0; i < n; i++)
        buf_fmt(&out, "%.*s\n", STR_ARGS(blocks[i]));
    if (n) msg->as.response.body = buf_str(&out);
}

void fault_no_final_newline_pem(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    if (is_chain(msg)) msg->as.response.body.n--;
}

void fault_text_before_pem(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    if (is_chain(msg))
        msg->as.response.body = str_fmt(&msg->arena, "subject=CN = a rehearsal\nissuer=CN = an intermediate\n%.*s",
                                        STR_ARGS(msg->as.response.body));
}

/* --- its order --- */

void fault_leaf_only(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    struct str blocks[MAX_BLOCKS];
    if (blocks_of(msg, blocks)) msg->as.response.body = blocks[0];
}

void fault_reversed_chain(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    struct str blocks[MAX_BLOCKS];
    struct buf out = {.arena = &msg->arena};
    size_t n = blocks_of(msg, blocks);
    for (size_t i = n; i > 0; i--)
        buf_add(&out, blocks[i - 1]);
    if (n) msg->as.response.body = buf_str(&out);
}

void fault_duplicate_leaf(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    struct str blocks[MAX_BLOCKS];
    if (blocks_of(msg, blocks))
        msg->as.response.body = str_fmt(&msg->arena, "%.*s%.*s", STR_ARGS(blocks[0]), STR_ARGS(msg->as.response.body));
}
