/* json_text.c: text inside the quotes of JSON. Pure. */
#include "base/json_text.h"

#include <string.h>

#include "base/utf8.h"

#define REPLACEMENT "\\ufffd"

static size_t write_control(unsigned char c, char out[JSON_CHARACTER_MAX])
{
	static const char digits[] = "0123456789abcdef", begin[] = {'\\', 'u', '0', '0'};

	memcpy(out, begin, sizeof(begin));
	out[4] = digits[c >> 4];
	out[5] = digits[c & 15];
	return JSON_CHARACTER_MAX;
}

size_t json_character(const char *text, size_t n, char out[JSON_CHARACTER_MAX], size_t *ret_taken)
{
	size_t length = utf8_length(text, n);
	unsigned char c = (unsigned char)*text;

	*ret_taken = length ? length : 1;
	if (length == 0) {
		memcpy(out, REPLACEMENT, sizeof(REPLACEMENT) - 1);
		return sizeof(REPLACEMENT) - 1;
	}
	if (c < 0x20 || c == 0x7f)
		return write_control(c, out);
	if (c == '"' || c == '\\') {
		out[0] = '\\';
		out[1] = (char)c;
		return 2;
	}
	memcpy(out, text, length);
	return length;
}
