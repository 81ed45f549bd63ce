/*
 * grpc_status.c: status codes as text, and percent-encoding of grpc-message. What is encoded is
 * always valid UTF-8, whatever came in: clients in stricter languages drop the whole status else.
 * No state; any process, any thread.
 */
#include "proto/grpc_status.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/utf8.h"

#define N_STATUS (GRPC_UNAUTHENTICATED + 1)

struct status_text {
	const char *name;
	const char *digits;
};

static const struct status_text statuses[N_STATUS] = {
	[GRPC_OK] = {"OK", "0"},
	[GRPC_CANCELLED] = {"CANCELLED", "1"},
	[GRPC_UNKNOWN] = {"UNKNOWN", "2"},
	[GRPC_INVALID_ARGUMENT] = {"INVALID_ARGUMENT", "3"},
	[GRPC_DEADLINE_EXCEEDED] = {"DEADLINE_EXCEEDED", "4"},
	[GRPC_NOT_FOUND] = {"NOT_FOUND", "5"},
	[GRPC_ALREADY_EXISTS] = {"ALREADY_EXISTS", "6"},
	[GRPC_PERMISSION_DENIED] = {"PERMISSION_DENIED", "7"},
	[GRPC_RESOURCE_EXHAUSTED] = {"RESOURCE_EXHAUSTED", "8"},
	[GRPC_FAILED_PRECONDITION] = {"FAILED_PRECONDITION", "9"},
	[GRPC_ABORTED] = {"ABORTED", "10"},
	[GRPC_OUT_OF_RANGE] = {"OUT_OF_RANGE", "11"},
	[GRPC_UNIMPLEMENTED] = {"UNIMPLEMENTED", "12"},
	[GRPC_INTERNAL] = {"INTERNAL", "13"},
	[GRPC_UNAVAILABLE] = {"UNAVAILABLE", "14"},
	[GRPC_DATA_LOSS] = {"DATA_LOSS", "15"},
	[GRPC_UNAUTHENTICATED] = {"UNAUTHENTICATED", "16"},
};

static const struct status_text *status_text(int code)
{
	return &statuses[code >= 0 && code < N_STATUS ? code : GRPC_UNKNOWN];
}

const char *grpc_status_name(int code)
{
	return status_text(code)->name;
}

const char *grpc_status_digits(int code)
{
	return status_text(code)->digits;
}

int grpc_status_parse(const char *text, size_t n, enum grpc_status *ret_code)
{
	for (int code = 0; code < N_STATUS; code++) {
		if (strlen(statuses[code].digits) == n &&
			memcmp(statuses[code].digits, text, n) == 0) {
			*ret_code = (enum grpc_status)code;
			return 0;
		}
	}
	return -EINVAL;
}

static size_t encode_byte(uint8_t c, char *out)
{
	static const char hex[] = "0123456789ABCDEF";

	if (c >= 0x20 && c <= 0x7E && c != '%') {
		out[0] = (char)c;
		return 1;
	}
	out[0] = '%';
	out[1] = hex[c >> 4];
	out[2] = hex[c & 15];
	return 3;
}

size_t grpc_message_encode(const char *text, size_t n, char out[GRPC_MESSAGE_ENCODED_MAX])
{
	static const uint8_t replacement[] = {0xEF, 0xBF, 0xBD};
	const uint8_t *p = (const uint8_t *)text;
	size_t written = 0;

	/* `room` counts bytes of the text after replacement, so that it bounds the output. */
	for (size_t room = GRPC_MESSAGE_MAX; n > 0;) {
		size_t taken = utf8_length((const char *)p, n);
		size_t length = taken ? taken : sizeof(replacement);
		const uint8_t *character = taken ? p : replacement;

		if (length > room)
			break;
		for (size_t i = 0; i < length; i++)
			written += encode_byte(character[i], out + written);
		room -= length;
		taken = taken ? taken : 1;
		p += taken;
		n -= taken;
	}
	return written;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t grpc_message_decode(char *text, size_t n)
{
	size_t written = 0;

	for (size_t i = 0; i < n; i++) {
		int high = -1, low = -1;

		if (text[i] == '%' && n - i > 2) {
			high = hex_value(text[i + 1]);
			low = hex_value(text[i + 2]);
		}
		if (high >= 0 && low >= 0) {
			text[written++] = (char)(high << 4 | low);
			i += 2;
		} else {
			text[written++] = text[i];
		}
	}
	return written;
}
