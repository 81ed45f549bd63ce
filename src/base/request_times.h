/* request_times.h: when a request came to what. */
#ifndef BASE_REQUEST_TIMES_H
#define BASE_REQUEST_TIMES_H

#include <stdint.h>

/* CLOCK_MONOTONIC, in ns; 0: it did not come to that. */
struct request_times {
	uint64_t received_ns; /* the origin's */
	uint64_t submitted_ns;
	uint64_t dispatched_ns; /* sent to the worker that answered */
	uint64_t compute_ns;	/* as the worker measured, for the whole batch */
	uint64_t done_ns;
};

#endif
