/* detached.c: see detached.h. */
#include "base/detached.h"

#include <pthread.h>
#include <stddef.h>

#include "base/signals.h"

#define STACK_BYTES ((size_t)256 << 10)

int detached_start(void *(*run)(void *data), void *data)
{
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t before;
	int r = pthread_attr_init(&attributes);

	if (r)
		return -r;
	signals_block(&before);
	r = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	if (!r)
		r = pthread_attr_setstacksize(&attributes, STACK_BYTES);
	if (!r)
		r = pthread_create(&thread, &attributes, run, data);
	signals_restore(&before);
	pthread_attr_destroy(&attributes);
	return -r;
}
