/* fake_executor.h: an executor with everything that it works on, without a socket, on a fake backend. */
#ifndef TESTS_UNIT_WORKERS_FAKE_EXECUTOR_H
#define TESTS_UNIT_WORKERS_FAKE_EXECUTOR_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fake_backend.h"
#include "proto/grpc_status.h"
#include "workers/executor.h"

#define ARENA_BYTES (256u * 1024u)
#define REGION	    (WIRE_REGION_BIT | 7u)
#define REGION_SIZE 65536u
#define ITEMS	    8
#define WAIT_NS	    1000000u

/* An executor with everything that it works on, and a batch in the making. */
struct rig {
	struct segment *input;
	struct segment *made; /* of the outputs */
	struct outputs *outputs;
	struct regions regions;
	pthread_mutex_t memory;
	struct executor *executor;
	char *region; /* the client's mapping */
	struct fake_backend fake;
	/* A batch in the making. */
	struct wire_tensor tensors[ITEMS][2];
	int64_t dims[ITEMS][2][2];
	struct wire_item items[ITEMS];
	struct wire_run run;
	struct wire_done done;
	/* Answers in part. */
	unsigned n_partial;
	uint64_t last_hold;
	int32_t last_value;
	int say_error;
	unsigned n_flushed;
	bool releases; /* what was said, when it is flushed */
};

/* Output memory of so many bytes; so many bytes of inputs may be copied. */
void rig_init(struct rig *g, uint64_t output_bytes, uint64_t scratch_max);
void rig_deinit(struct rig *g);
/* What rig.executor is made of; waiting so long for output memory. */
struct executor_parts rig_parts(struct rig *g, uint64_t scratch_max, uint64_t wait_ns);
/* Bytes of output memory that are held. */
uint64_t rig_used(const struct rig *g);

/* Copy n bytes to the input segment. Returns where they lie. */
void *rig_put(struct rig *g, const void *data, uint64_t n, struct span *ret_span);
/* Of the client's region. */
struct span rig_in_region(uint64_t offset, uint64_t length);
/* Another item whose input 0 is [rows, width] of dtype at `span`. */
void rig_add_span(struct rig *g, enum dtype dtype, int64_t rows, int64_t width, struct span span);
/* i32 [rows, 4], counting up from `first`. */
void rig_add_rows(struct rig *g, int64_t rows, int32_t first);
/* What comes next is not contiguous with what came before. */
void rig_add_gap(struct rig *g);

/* Run the batch: rig.done. */
void rig_execute(struct rig *g);
/* As the daemon does, when all clients have theirs. */
void rig_release(struct rig *g);
/* The data of output k of item i: resolved as the daemon would. */
const void *rig_output(struct rig *g, size_t i, size_t k);
/* Asserted: of item i as rig_add_rows() makes them, and an error with a text that has `part`. */
void rig_expect_rows(struct rig *g, size_t i, int64_t rows, int32_t first);
void rig_expect_error(struct rig *g, size_t i, enum grpc_status code, const char *part);

#endif
