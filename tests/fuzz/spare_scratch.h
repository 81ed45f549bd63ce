/*
 * spare_scratch.h: memory that a sanitizer takes long to hand out, and a run of a fuzzer gives back: it is used again. Included
 * once in a program, which is linked with wire_scratch_new() and wire_scratch_free() wrapped. Any thread.
 */
#ifndef TESTS_FUZZ_SPARE_SCRATCH_H
#define TESTS_FUZZ_SPARE_SCRATCH_H

#include <pthread.h>
#include <stddef.h>

#include "proto/wire.h"

#define SPARE_MAX 8u

static pthread_mutex_t spare_lock = PTHREAD_MUTEX_INITIALIZER;
static struct wire_scratch *spare[SPARE_MAX];
static size_t n_spare;

int __real_wire_scratch_new(struct wire_scratch **ret_scratch);
int __wrap_wire_scratch_new(struct wire_scratch **ret_scratch);
struct wire_scratch *__real_wire_scratch_free(struct wire_scratch *s);
struct wire_scratch *__wrap_wire_scratch_free(struct wire_scratch *s);

int __wrap_wire_scratch_new(struct wire_scratch **ret_scratch)
{
	struct wire_scratch *s = NULL;

	pthread_mutex_lock(&spare_lock);
	if (n_spare > 0)
		s = spare[--n_spare];
	pthread_mutex_unlock(&spare_lock);
	if (!s)
		return __real_wire_scratch_new(ret_scratch);
	*ret_scratch = s;
	return 0;
}

struct wire_scratch *__wrap_wire_scratch_free(struct wire_scratch *s)
{
	pthread_mutex_lock(&spare_lock);
	if (s && n_spare < SPARE_MAX) {
		spare[n_spare++] = s;
		s = NULL;
	}
	pthread_mutex_unlock(&spare_lock);
	return __real_wire_scratch_free(s);
}

#endif
