/*
 * kserve_parameters.h: parameters of a ModelInferRequest: those that have a meaning, by Triton's rules;
 * the others are the model's.
 */
#ifndef SERVICES_KSERVE_PARAMETERS_H
#define SERVICES_KSERVE_PARAMETERS_H

#include <stdbool.h>
#include <stdint.h>

#include "services/infer.h"
#include "services/kserve_message.h"

/* What the request wants of us. */
struct kserve_wishes {
	bool empty_final_response;
	uint64_t timeout_us; /* 0: none */
	uint64_t priority;   /* 0: none */
	/* The sequence that it is a step of: a text, or a number that is not 0. */
	uint64_t sequence;
	const char
		*sequence_text; /* NULL: it has a number; n_sequence bytes; lies in the message */
	size_t n_sequence;
	bool sequence_start;
	bool sequence_end;
};

/* Custom parameters are added to i->request, as texts. INFER_E_FAILED */
_must_use_ int kserve_read_parameters(
	struct infer *i, const struct kserve_request *m, struct kserve_wishes *ret_wishes);

/* Where a tensor lies in shared memory. */
struct kserve_place {
	const char *region; /* n_region bytes; NULL: it is not there */
	size_t n_region;
	uint64_t offset;
	uint64_t length;
};

/* Of the input or output `name`; others of its parameters are skipped. INFER_E_FAILED */
_must_use_ int kserve_read_place(struct infer *i, const char *name, const struct kserve_entry *list,
	size_t n, struct kserve_place *ret_place);
/* The output's `classification`: how many classes; 0: it is not wanted. INFER_E_FAILED */
_must_use_ int kserve_read_classes(
	struct infer *i, const struct kserve_output *o, uint64_t *ret_n_classes);

#endif
