/* utf8.c: well-formed UTF-8. Pure. */
#include "base/utf8.h"

#include <string.h>

#include <stdint.h>

/* How many bytes a lead byte announces; *ret_low and *ret_high bound the byte behind it, which is
 * where overlong forms, surrogates and values above U+10FFFF show. 0: no lead byte. */
static size_t lead_length(uint8_t lead, uint8_t *ret_low, uint8_t *ret_high)
{
	*ret_low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
	*ret_high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
	if (lead < 0x80)
		return 1;
	if (lead >= 0xC2 && lead <= 0xDF)
		return 2;
	if (lead >= 0xE0 && lead <= 0xEF)
		return 3;
	return lead >= 0xF0 && lead <= 0xF4 ? 4 : 0;
}

size_t utf8_length(const char *text, size_t n)
{
	const uint8_t *p = (const uint8_t *)text;
	uint8_t low, high;
	size_t length = n > 0 ? lead_length(p[0], &low, &high) : 0;

	if (length > n)
		return 0;
	for (size_t i = 1; i < length; i++) {
		if (p[i] < low || p[i] > high)
			return 0;
		low = 0x80;
		high = 0xBF;
	}
	return length;
}

bool utf8_valid(const char *text, size_t n)
{
	for (size_t length; n > 0; text += length, n -= length) {
		length = utf8_length(text, n);
		if (length == 0)
			return false;
	}
	return true;
}

void utf8_mend(char *text)
{
	size_t n = strlen(text);

	while (n > 0) {
		size_t length = utf8_length(text, n);

		if (length == 0) {
			*text = '?';
			length = 1;
		}
		text += length;
		n -= length;
	}
}
