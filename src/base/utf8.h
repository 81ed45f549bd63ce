/* utf8.h: well-formed UTF-8 (RFC 3629). */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the character at the front of text (n bytes); 0: there is none that is well-formed (too
 * long a form, a surrogate, beyond U+10FFFF, cut short), or n is 0. */
size_t utf8_length(const char *text, size_t n);
/* Is all of it well-formed? */
bool utf8_valid(const char *text, size_t n);
/* Each byte that belongs to no such character becomes a '?'. */
void utf8_mend(char *text);

#endif
