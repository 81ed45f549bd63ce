/*
 * infer_region.c: who may name a region. A caller on the Unix socket may name those of his own user, one
 * from this host's loopback, where that is allowed, those whose token he knows; to everybody else none exists.
 *
 * Daemon process, loop thread.
 */
#include "services/infer_region.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "base/digits.h"
#include "handoff/handoff.h"
#include "proto/handoff.h"

/* A longer text is cut in messages. */
#define TOKEN_TEXT_MAX 64

int infer_region_find(struct infer *i, const char *token, struct region **ret_region)
{
	struct handoff *h = i->services->handoff;

	if (!h)
		return infer_fail(&i->failure, GRPC_FAILED_PRECONDITION,
			"shared memory handoff is not available ([handoff] socket is empty): send "
			"the tensor as tensor_data");
	if (!handoff_find(h, i->origin.peer, token, ret_region))
		return 0;
	return infer_fail(&i->failure, GRPC_NOT_FOUND,
		"region not found: it is not registered, or not for this caller (by TCP none is, "
		"unless [handoff] tokens_over_tcp says so)");
}

/* It is not repeated where others may read it. */
static bool is_token(const char *name, size_t n)
{
	size_t i = 0;

	while (i < n && isxdigit((unsigned char)name[i]))
		i++;
	return n == 2 * HANDOFF_TOKEN_BYTES && i == n;
}

int infer_region_named(struct infer *i, const char *name, size_t n, struct region **ret_region)
{
	struct handoff *h = i->services->handoff;
	char token[TOKEN_TEXT_MAX + 1];

	if (h && n < sizeof(token) && !memchr(name, '\0', n)) {
		memcpy(token, name, n);
		token[n] = '\0';
		if (!handoff_find(h, i->origin.peer, token, ret_region))
			return 0;
	}
	if (is_token(name, n))
		return infer_fail(&i->failure, GRPC_NOT_FOUND,
			"Unable to find shared memory region of that token");
	return infer_fail(&i->failure, GRPC_NOT_FOUND,
		"Unable to find shared memory region: '%.*s'", n < 255 ? (int)n : 255, name);
}

/* Decimal digits, nothing else. */
static int parse(struct infer *i, const char *key, const char *text, uint64_t *ret_value)
{
	if (!decimal_parse(text, ret_value))
		return 0;
	return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
		"parameter '%s' is not a number of bytes: '%.*s'", key, TOKEN_TEXT_MAX, text);
}

static int set_target(struct infer *i, uint32_t output, const struct infer_region_wish *wish,
	struct region *region)
{
	uint64_t offset = 0;
	uint64_t size = 0;
	int r = 0;

	if (wish->offset)
		r = parse(i, "output_offset", wish->offset, &offset);
	if (!r && wish->size)
		r = parse(i, "output_size", wish->size, &size);
	else if (!r && offset <= region_size(region))
		size = region_size(region) - offset;
	if (r)
		return r;
	r = request_set_target(i->request, output, region, offset, size);
	assert(r == 0);
	return r;
}

int infer_region_target(struct infer *i, uint32_t output, const struct infer_region_wish *wish)
{
	struct region *region = NULL;
	int r;

	if (!wish->region && !wish->offset && !wish->size)
		return 0;
	if (!wish->region)
		return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
			"parameters output_offset and output_size need output_region");
	r = infer_region_find(i, wish->region, &region);
	if (r)
		return r;
	r = set_target(i, output, wish, region);
	region_unref(region);
	return r;
}
