/*
 * fake_stream.h: what streams are given, for the stand-in alone. A stream is a thread that does it in order; while it
 * records, what it is given goes to a graph instead. The lock is held wherever something here is touched.
 */
#ifndef FAKECUDA_FAKE_STREAM_H
#define FAKECUDA_FAKE_STREAM_H

#include "tests/support/fakecuda/fake_private.h"

#define FAKE_ARGUMENTS_MAX 8u
#define FAKE_ARGUMENT_MAX  8u

enum kind { COPY_IN, COPY_OUT, COPY_WITHIN, CLEAR, FREE, RECORD, WAIT, KERNEL };

struct op {
	struct op *next;
	enum kind kind;
	void *to;
	const void *from;
	size_t bytes;
	struct CUevent_st *event;
	uint64_t value;
	const struct fake_kernel *kernel;
	unsigned char arguments[FAKE_ARGUMENTS_MAX][FAKE_ARGUMENT_MAX];
};

struct CUevent_st {
	uint64_t recorded, reached;
	uint64_t reached_ns; /* CLOCK_MONOTONIC */
	bool used, timed;
};

struct CUstream_st {
	pthread_t thread;
	struct op *first, **end;
	bool busy, ends, used;
	int priority;
	struct CUgraph_st
		*recorded; /* own: what it is given goes there, and is not done; NULL: it is */
};

struct CUgraph_st {
	struct op *first, **end;
};

/* The stream is to do a copy of that. */
cudaError_t fake_put(struct CUstream_st *s, const struct op *like);
/* Waits until it has done all; the lock is released meanwhile. */
void fake_settle(const struct CUstream_st *s);
/* The stream has come to where it was recorded for the n-th time. */
void fake_event_reach(struct CUevent_st *e, uint64_t n);
/* All are forgotten. */
void fake_events_reset(void);

#endif
