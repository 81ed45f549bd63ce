/* version_policy.h: which of a model's versions are served. */
#ifndef MODELS_VERSION_POLICY_H
#define MODELS_VERSION_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

enum version_policy_kind {
	VERSION_POLICY_LATEST, /* the `count` highest */
	VERSION_POLICY_ALL,
	VERSION_POLICY_SPECIFIC, /* those of `numbers` */
};

/* Zeroed: the highest one. Release with version_policy_release(). */
struct version_policy {
	enum version_policy_kind kind;
	uint32_t count;	   /* 0 is taken for 1 */
	uint64_t *numbers; /* own */
	size_t n_numbers;
};

enum {
	VERSION_POLICY_E_INVALID = 1,
};

/*
 * "latest", "latest 3", "all", or numbers separated by commas: "2", "1, 3". What *p had is released; on
 * failure it is untouched.
 *
 * VERSION_POLICY_E_INVALID, -ENOMEM
 */
_must_use_ int version_policy_parse(struct version_policy *p, const char *text);
void version_policy_release(struct version_policy *p);
/* Is `number` served, the rank-th highest (from 0) of those there are? */
bool version_policy_has(const struct version_policy *p, uint64_t number, size_t rank);
/* A positive number without leading zeros, below 2^63. */
bool version_number_parse(const char *text, uint64_t *ret_number);

#endif
