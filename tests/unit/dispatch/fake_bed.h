/*
 * fake_bed.h: a dispatch on the fake pool, for tests: models, clients, requests and their answers.
 *
 *   0 "alpha"  x: i32 [-1,4] -> y; batches of at most 8 rows
 *   1 "beta"   the same, stateful
 *   2 "gamma"  a: any dtype and shape, b: f32 [2,-1] -> y, z; not batched
 */
#ifndef TESTS_UNIT_DISPATCH_FAKE_BED_H
#define TESTS_UNIT_DISPATCH_FAKE_BED_H

#include "dispatch/client_private.h"
#include "dispatch/dispatch_private.h"
#include "dispatch/request_private.h"
#include "dispatch/version_private.h"
#include "dispatch/work.h"
#include "fake_pool.h"

#define BED_MODELS 3

struct bed {
	uv_loop_t loop;
	struct dispatch_settings settings;
	struct pool_place place;
	struct pool_settings pool_settings;
	struct version_settings models[BED_MODELS];
	struct dispatch *d;
	struct pool *pool; /* borrow */
	struct client *client;
	struct origin origin; /* of client, without a deadline */
	struct version *alpha, *beta, *gamma;
	unsigned version_events;
	bool offers;	   /* what on_demand returns */
	char demanded[64]; /* what it was asked for, each followed by a space */
	unsigned started;
	unsigned drained;
};

struct answer {
	struct bed *bed;
	unsigned n;	    /* last ones */
	unsigned n_partial; /* before that */
	enum grpc_status status;
	char message[512];
	char worker[32];
	uint32_t batch_requests;
	size_t n_outputs;
	struct request_times times;
	struct output_lease *keep; /* `take`: a reference */
	bool take;
	void (*hook)(struct answer *a);
	void (*partial_hook)(struct answer *a);
	struct request *other; /* for the hook */
};

/* Settings with one worker of two slots; to be changed before bed_open(). */
void bed_init(struct bed *b);
/* dispatch_new() and a client. -errno */
int bed_open(struct bed *b);
/* Declare all models and make the workers ready. */
void bed_start(struct bed *b);
/* Both, asserted; batches of all models should take 1.5 ms then, so that two are at hand. */
void bed_up(struct bed *b);
/* How long batches should take; 0: nobody knows. */
void bed_expect(struct bed *b, uint64_t compute_ns);
/* Kill what is left; everything must be given back. */
void bed_close(struct bed *b);

/* A request of `rows` rows for alpha or beta; the answer goes to `a`. deadline: 0 for none. NULL: no
 * memory. */
struct request *bed_request(struct bed *b, struct version *m, struct client *c, int64_t rows,
	uint64_t deadline_ns, struct answer *a);
/* Fill in an input with a lease of so many bytes of zeroes. 0 or an error of lease_new(). */
int bed_fill(struct bed *b, struct request *r, uint32_t index, enum dtype dtype, uint32_t rank,
	const int64_t *dims, uint64_t length);
/* Alpha is declared decoupled from here on. */
void bed_decouple(struct bed *b);
/* Make and submit one without a deadline, one row; asserts that it is taken. The reference is the
 * caller's. */
struct request *bed_submit(struct bed *b, struct version *m, struct answer *a);
struct request *bed_submit_by(
	struct bed *b, struct version *m, struct client *c, int64_t rows, struct answer *a);
/* dispatch_schedule() */
void bed_turn(struct bed *b);
/* Run the loop until `a` has its answer. */
void bed_wait(struct bed *b, const struct answer *a);
void bed_on_done(void *data, const struct request_result *result);

#endif
