/* kserve_keys.c: inputs from and outputs to shared memory by key. Daemon process, loop thread. */
#include "services/kserve_keys.h"

#include <inttypes.h>
#include <stdlib.h>

#include "services/key_region.h"
#include "services/kserve_infer.h"

/* --- What is asked ---------------------------------------------------------------------------- */

struct key_region *kserve_keys_find(const struct kserve_infer *x, const struct kserve_place *place)
{
	const struct infer *i = &x->infer;

	return key_regions_find(&i->services->keys, i->origin.peer, place->region, place->n_region);
}

int kserve_keys_input(struct kserve_infer *x, struct infer_receive *receive,
	struct key_region *region, const struct kserve_place *place, struct request_input *in)
{
	struct infer *i = &x->infer;
	struct infer_piece piece;

	if (key_region_check(region, place->offset, place->length, &i->failure))
		return INFER_E_FAILED;
	if (!in)
		return 0;
	if (infer_receive_make(receive, place->length, &piece)) {
		infer_failure_move(&i->failure, &receive->failure);
		return INFER_E_FAILED;
	}
	in->lease = piece.lease;
	in->offset = piece.offset;
	in->length = piece.length;
	if (key_move_add(&x->keys.move, &(struct key_piece){
						.region = region,
						.at = place->offset,
						.data = lease_at(piece.lease, piece.offset),
						.length = piece.length,
					}))
		return infer_fail_memory(&i->failure);
	return 0;
}

int kserve_keys_target(struct kserve_infer *x, uint32_t output, struct key_region *region,
	const struct kserve_place *place)
{
	struct kserve_keys *k = &x->keys;
	struct kserve_key_target *all;

	if (version_decoupled(x->infer.model))
		return infer_fail(&x->infer.failure, GRPC_UNIMPLEMENTED,
			"model '%s' answers a request any number of times (it is decoupled): its "
			"outputs cannot go to shared memory",
			version_settings(x->infer.model)->name);
	if (key_region_check(region, place->offset, place->length, &x->infer.failure))
		return INFER_E_FAILED;
	all = realloc(k->targets, (k->n_targets + 1) * sizeof(*all));
	if (!all)
		return infer_fail_memory(&x->infer.failure);
	k->targets = all;
	all[k->n_targets++] = (struct kserve_key_target){
		key_region_ref(region), output, place->offset, place->length};
	return 0;
}

bool kserve_keys_has_target(const struct kserve_infer *x, uint32_t output)
{
	for (size_t k = 0; k < x->keys.n_targets; k++) {
		if (x->keys.targets[k].output == output)
			return true;
	}
	return false;
}

bool kserve_keys_pending(const struct kserve_infer *x)
{
	return x->keys.move.n_pieces > 0;
}

/* --- Moving ----------------------------------------------------------------------------------- */

static int fail_gone(struct infer *i, const struct key_move *m)
{
	return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
		"shared memory region '%s' has become shorter than it was when it was registered",
		m->pieces[m->at].region->name);
}

static int begin(struct kserve_infer *x, void (*on_done)(struct key_move *m, int error))
{
	struct infer *i = &x->infer;
	int r;

	x->keys.infer = i;
	x->keys.move.on_done = on_done;
	r = key_move_begin(&x->keys.move, &i->services->mover);
	if (r == KEY_MOVE_E_LATER)
		return INFER_E_WAITING;
	if (r)
		r = fail_gone(i, &x->keys.move);
	key_move_release(&x->keys.move);
	return r;
}

/* Of the move that has ended: whose it was. */
static struct infer *end(struct key_move *m, int error)
{
	struct infer *i = container_of(m, struct kserve_keys, move)->infer;

	if (error)
		fail_gone(i, m);
	key_move_release(m);
	return i;
}

static void on_fetched(struct key_move *m, int error)
{
	infer_fetched(end(m, error));
}

static void on_stored(struct key_move *m, int error)
{
	infer_stored(end(m, error));
}

int kserve_keys_fetch(struct infer *i)
{
	struct kserve_infer *x = (struct kserve_infer *)i;

	return x->keys.move.n_pieces > 0 ? begin(x, on_fetched) : 0;
}

static int add_output(
	struct kserve_infer *x, const struct kserve_key_target *t, const struct pool_output *o)
{
	struct infer *i = &x->infer;

	if (o->length > t->length)
		return infer_fail(&i->failure, GRPC_INTERNAL,
			"shared memory size specified with the request for output '%s' (%" PRIu64
			" bytes) should be at least %" PRIu64 " bytes to hold the results",
			version_declared(i->model)->outputs[o->index].name, t->length, o->length);
	if (o->length > 0 && !o->data)
		return infer_fail(&i->failure, GRPC_INTERNAL, "model '%s' gave no output %" PRIu32,
			version_settings(i->model)->name, o->index);
	if (key_move_add(&x->keys.move, &(struct key_piece){
						.region = t->region,
						.at = t->offset,
						.data = (uint8_t *)o->data,
						.length = o->length,
						.out = true,
					}))
		return infer_fail_memory(&i->failure);
	return 0;
}

int kserve_keys_store(struct infer *i, const struct request_result *result)
{
	struct kserve_infer *x = (struct kserve_infer *)i;
	int r = 0;

	for (size_t k = 0; !r && k < x->keys.n_targets; k++) {
		const struct kserve_key_target *t = &x->keys.targets[k];

		for (size_t n = 0; !r && n < result->n_outputs; n++) {
			if (result->outputs[n].index == t->output)
				r = add_output(x, t, &result->outputs[n]);
		}
	}
	return r || x->keys.n_targets == 0 ? r : begin(x, on_stored);
}

void kserve_keys_stop(struct infer *i)
{
	key_move_release(&((struct kserve_infer *)i)->keys.move);
}

void kserve_keys_deinit(struct kserve_infer *x)
{
	struct kserve_keys *k = &x->keys;

	key_move_release(&k->move);
	for (size_t n = 0; n < k->n_targets; n++)
		key_region_unref(k->targets[n].region);
	free(k->targets);
	k->targets = NULL;
	k->n_targets = 0;
}
