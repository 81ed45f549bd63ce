/* digits.h: numbers and switches from text; numbers as text where printf() would be most of the work. */
#ifndef BASE_DIGITS_H
#define BASE_DIGITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define DECIMAL_MAX  20u /* digits of UINT64_MAX */
#define HEX64_DIGITS 16u

/* Decimal digits and nothing else: no sign, no spaces. -EINVAL; -ERANGE: above 64 bits */
_must_use_ int decimal_parse(const char *text, uint64_t *ret_v);
/* Digits at the front of text; *ret_end: what follows them. The same errors */
_must_use_ int decimal_read(const char *text, uint64_t *ret_v, const char **ret_end);
/* As decimal_parse(), with an optional K, M or G (powers of 1024) behind it. */
_must_use_ int bytes_parse(const char *text, uint64_t *ret_v);
/* yes, true, 1; no, false, 0. -EINVAL */
_must_use_ int bool_parse(const char *text, bool *ret_v);
/* A finite number as strtod() takes it, and nothing behind it. -EINVAL */
_must_use_ int real_parse(const char *text, double *ret_v);
/* Write v in decimal, no NUL; room for DECIMAL_MAX bytes. Returns how many it took. */
size_t decimal_write(char *out, uint64_t v);
/* The same to what lies ahead of `end`. Returns where it begins. */
char *decimal_write_back(char *end, uint64_t v);
/* Write v as HEX64_DIGITS lower-case digits, no NUL. */
void hex64_write(char *out, uint64_t v);

#endif
