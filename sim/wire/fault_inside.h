/* What the parts of the faults share. fault.c: the table; fault_header.c, fault_json.c, fault_pem.c: the transforms, by
 * what of a response they touch. Each leaves alone what it does not apply to: a body that is no JSON object, or no
 * certificate chain. Nobody outside fault*.c includes this. */
#ifndef WIRE_FAULT_INSIDE_H
#define WIRE_FAULT_INSIDE_H

#include "wire/fault.h"

/* --- fault_header.c --- */
struct headers *fault_headers(struct msg *msg); /* of a response, made where there are none */
fault_fn fault_no_nonce, fault_stale_nonce, fault_duplicate_nonce, fault_malformed_nonce;
fault_fn fault_no_location, fault_duplicate_location, fault_malformed_location, fault_relative_location,
    fault_other_location;
fault_fn fault_no_link, fault_malformed_link;
fault_fn fault_no_content_type, fault_wrong_content_type, fault_charset_content_type, fault_duplicate_content_type;
fault_fn fault_retry_after_twice;
fault_fn fault_lower_case_headers, fault_upper_case_headers;

/* --- fault_json.c --- */
fault_fn fault_no_expires, fault_early_certificate;
fault_fn fault_pretty_json, fault_reversed_json, fault_escaped_json, fault_bom_json, fault_half_json;
fault_fn fault_unknown_members, fault_null_members, fault_mistyped_json, fault_deep_json;

/* --- fault_pem.c --- */
fault_fn fault_crlf_pem, fault_blank_line_pem, fault_no_final_newline_pem, fault_text_before_pem;
fault_fn fault_leaf_only, fault_reversed_chain, fault_duplicate_leaf;

#endif
