/* json_text.h: text inside the quotes of JSON (RFC 8259), whatever bytes it comes with. Pure. */
#ifndef BASE_JSON_TEXT_H
#define BASE_JSON_TEXT_H

#include <stddef.h>

#define JSON_CHARACTER_MAX 6u /* bytes */

/*
 * The first character of text (n bytes, at least one) in JSON, into out, without a NUL. Returns its length; *ret_taken: bytes of text that it
 * was. A byte that belongs to no character of UTF-8 becomes U+FFFD.
 */
size_t json_character(const char *text, size_t n, char out[JSON_CHARACTER_MAX], size_t *ret_taken);

#endif
