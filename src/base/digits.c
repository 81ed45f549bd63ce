/* digits.c: numbers as text. Stateless; any process, any thread. */
#include "base/digits.h"

#include <string.h>

size_t decimal_write(char *out, uint64_t v)
{
	char digits[DECIMAL_MAX];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + v % 10);
	while (v /= 10);
	memcpy(out, digits + at, sizeof(digits) - at);
	return sizeof(digits) - at;
}

void hex64_write(char *out, uint64_t v)
{
	for (size_t i = HEX64_DIGITS; i-- > 0; v >>= 4)
		out[i] = "0123456789abcdef"[v & 15];
}
