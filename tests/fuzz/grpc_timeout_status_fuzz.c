/*
 * grpc_timeout_status_fuzz.c: any text as grpc-timeout, grpc-status, and both ways through
 * grpc-message.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "proto/grpc_status.h"
#include "proto/grpc_timeout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_timeout(const char *text, size_t n)
{
	char out[GRPC_TIMEOUT_TEXT_MAX];
	uint64_t ns, again;

	if (grpc_timeout_parse(text, n, &ns) < 0)
		return;
	assert(ns <= INT64_MAX);
	n = grpc_timeout_format(ns, out);
	assert(n == strlen(out));
	assert(grpc_timeout_parse(out, n, &again) == 0);
	assert(again >= ns && again - ns <= ns / 10000);
}

static void check_status(const char *text, size_t n)
{
	enum grpc_status code;

	if (grpc_status_parse(text, n, &code) < 0)
		return;
	assert(strlen(grpc_status_digits((int)code)) == n);
	assert(memcmp(grpc_status_digits((int)code), text, n) == 0);
}

/* What is encoded is printable, and is what its decoded form encodes to. */
static void check_message(const char *text, size_t n)
{
	static char first[GRPC_MESSAGE_ENCODED_MAX], second[GRPC_MESSAGE_ENCODED_MAX];
	static char decoded[GRPC_MESSAGE_ENCODED_MAX];
	size_t n_first = grpc_message_encode(text, n, first), n_decoded;

	assert(n_first <= sizeof(first));
	for (size_t i = 0; i < n_first; i++)
		assert(first[i] >= 0x20 && first[i] <= 0x7E);
	memcpy(decoded, first, n_first);
	n_decoded = grpc_message_decode(decoded, n_first);
	assert(n_decoded <= GRPC_MESSAGE_MAX);
	assert(grpc_message_encode(decoded, n_decoded, second) == n_first);
	assert(memcmp(first, second, n_first) == 0);
}

static void check_decode(const char *text, size_t n)
{
	char copy[4096];

	n = n < sizeof(copy) ? n : sizeof(copy);
	memcpy(copy, text, n);
	assert(grpc_message_decode(copy, n) <= n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *text = (const char *)data;

	if (n == 0)
		return 0;
	check_timeout(text, n);
	check_status(text, n);
	check_message(text, n);
	check_decode(text, n);
	return 0;
}
