/*
 * kserve_keys.h: what of an inference lies in shared memory that its caller registered by key: inputs are brought
 * ahead of dispatch, outputs are taken there when the result is known.
 */
#ifndef SERVICES_KSERVE_KEYS_H
#define SERVICES_KSERVE_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "services/infer.h"
#include "services/key_move.h"
#include "services/kserve_parameters.h"

struct kserve_infer;

/* An output that goes to a region. */
struct kserve_key_target {
	struct key_region *region; /* ref */
	uint32_t output;
	uint64_t offset; /* in the region */
	uint64_t length; /* room */
};

/* In a kserve_infer. */
struct kserve_keys {
	struct key_move move;		   /* what is brought, then what is taken there */
	struct kserve_key_target *targets; /* own */
	size_t n_targets;
	struct infer *infer; /* borrow: whose they are */
};

/* The region of that name of x's caller; NULL: there is none. Borrowed. */
struct key_region *kserve_keys_find(const struct kserve_infer *x, const struct kserve_place *place);
/* Input `in` lies in the region; NULL: the model has none of that name. INFER_E_FAILED */
_must_use_ int kserve_keys_input(struct kserve_infer *x, struct infer_receive *receive,
	struct key_region *region, const struct kserve_place *place, struct request_input *in);
/* Have the output written to the region. INFER_E_FAILED */
_must_use_ int kserve_keys_target(struct kserve_infer *x, uint32_t output,
	struct key_region *region, const struct kserve_place *place);
/* Does the output go to a region? */
bool kserve_keys_has_target(const struct kserve_infer *x, uint32_t output);
/* Some input is still to be brought. */
bool kserve_keys_pending(const struct kserve_infer *x);

/* As in struct infer_kind. */
int kserve_keys_fetch(struct infer *i);
int kserve_keys_store(struct infer *i, const struct request_result *result);
void kserve_keys_stop(struct infer *i);
/* Of x. */
void kserve_keys_deinit(struct kserve_infer *x);

#endif
