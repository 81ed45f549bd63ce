/* digits.h: numbers as text where printf() would be most of the work. */
#ifndef BASE_DIGITS_H
#define BASE_DIGITS_H

#include <stddef.h>
#include <stdint.h>

#define DECIMAL_MAX  20u /* digits of UINT64_MAX */
#define HEX64_DIGITS 16u

/* Write v in decimal, no NUL; room for DECIMAL_MAX bytes. Returns how many it took. */
size_t decimal_write(char *out, uint64_t v);
/* Write v as HEX64_DIGITS lower-case digits, no NUL. */
void hex64_write(char *out, uint64_t v);

#endif
