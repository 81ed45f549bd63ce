/*
 * wire.c: the scratch memory and the names of the messages. wire_check.c holds the rules, wire_pack.c
 * and wire_unpack.c the two directions. Invariant: used <= WIRE_SCRATCH_MAX. Daemon and worker; one
 * thread a scratch.
 */
#include "proto/wire.h"

#include <assert.h>
#include <errno.h>

#include "proto/wire_private.h"

/* Each allocation is preceded by its size, which is how the length of a string is known. */
#define HEADER sizeof(uint64_t)

static const char *const names[WIRE_TYPE_MAX + 1] = {
	[WIRE_SETUP] = "setup",
	[WIRE_LOAD] = "load",
	[WIRE_UNLOAD] = "unload",
	[WIRE_RUN] = "run",
	[WIRE_RELEASE] = "release",
	[WIRE_PING] = "ping",
	[WIRE_DRAIN] = "drain",
	[WIRE_HELLO] = "hello",
	[WIRE_LOADED] = "loaded",
	[WIRE_READY] = "ready",
	[WIRE_DONE] = "done",
	[WIRE_PONG] = "pong",
	[WIRE_BYE] = "bye",
	[WIRE_MAP] = "map",
	[WIRE_UNMAP] = "unmap",
	[WIRE_UNMAPPED] = "unmapped",
};

const char *wire_type_name(enum wire_type type)
{
	unsigned int i = (unsigned int)type;

	return i >= WIRE_SETUP && i <= WIRE_TYPE_MAX ? names[i] : "unknown";
}

int wire_scratch_new(struct wire_scratch **ret_scratch)
{
	struct wire_scratch *s = calloc(1, sizeof(*s));
	uint8_t *memory = malloc(WIRE_SCRATCH_MAX);

	if (!s || !memory) {
		free(memory);
		free(s);
		return -ENOMEM;
	}
	s->memory = memory;
	*ret_scratch = s;
	return 0;
}

struct wire_scratch *wire_scratch_free(struct wire_scratch *s)
{
	if (s)
		free(s->memory);
	free(s);
	return NULL;
}

void wire_scratch_reset(struct wire_scratch *s)
{
	s->used = 0;
}

void *wire_scratch_alloc(struct wire_scratch *s, size_t n)
{
	size_t left = WIRE_SCRATCH_MAX - s->used;
	uint8_t *p = s->memory + s->used;
	size_t rounded;

	if (left < HEADER || n > left - HEADER)
		return NULL;
	rounded = (n + HEADER - 1) & ~(HEADER - 1);
	if (rounded > left - HEADER)
		return NULL;
	*(uint64_t *)(void *)p = n;
	s->used += HEADER + rounded;
	return p + HEADER;
}

size_t wire_scratch_size(const struct wire_scratch *s, const void *p)
{
	const uint8_t *at = p;

	assert(at >= s->memory + HEADER && at <= s->memory + s->used);
	return *(const uint64_t *)(const void *)(at - HEADER);
}
