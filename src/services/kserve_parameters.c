/*
 * kserve_parameters.c: parameters by Triton's rules, with its words. Of entries with the same key the last
 * one counts. Daemon process, loop thread.
 */
#include "services/kserve_parameters.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/digits.h"
#include "proto/wire.h"

#define KEY_SHOWN 255
/* Looking for doubles is quadratic. */
#define ENTRIES_MAX (2 * WIRE_PAIRS_MAX)

static bool is_last(const struct kserve_entry *list, size_t n, size_t at)
{
	for (size_t i = at + 1; i < n; i++) {
		if (!strcmp(list[i].key, list[at].key))
			return false;
	}
	return true;
}

static int read_value(
	struct infer *i, const struct kserve_entry *entry, struct kserve_parameter *ret_value)
{
	if (!kserve_parameter_read(entry, ret_value))
		return 0;
	return infer_fail(&i->failure, GRPC_INTERNAL, "malformed ModelInferRequest");
}

static int fail_kind(struct infer *i, const char *key, const char *expected)
{
	return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
		"invalid value type for '%.*s' parameter, expected %s.", KEY_SHOWN, key, expected);
}

/* --- Parameters of the request that have a meaning -------------------------------------------- */

static int take_sequence_id(
	struct infer *i, const struct kserve_parameter *p, struct kserve_wishes *w)
{
	if (p->kind == KSERVE_PARAMETER_INT64) {
		w->sequence = (uint64_t)p->int64_value;
	} else if (p->kind == KSERVE_PARAMETER_STRING) {
		w->sequence_text = p->n_string > 0 ? p->string_value : "";
		w->n_sequence = p->n_string;
	} else {
		return fail_kind(i, "sequence_id", "int64_param or string_param");
	}
	return 0;
}

static int take_bool(
	struct infer *i, const char *key, const struct kserve_parameter *p, bool *ret_value)
{
	if (p->kind != KSERVE_PARAMETER_BOOL)
		return fail_kind(i, key, "bool_param");
	*ret_value = p->bool_value;
	return 0;
}

static int take_priority(struct infer *i, const struct kserve_parameter *p, struct kserve_wishes *w)
{
	if (p->kind == KSERVE_PARAMETER_UINT64)
		w->priority = p->uint64_value;
	else if (p->kind != KSERVE_PARAMETER_INT64)
		return fail_kind(i, "priority", "int64_param or uint64_param");
	else if (p->int64_value < 0)
		return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
			"invalid value for 'priority', expected value >= 0.");
	else
		w->priority = (uint64_t)p->int64_value;
	return 0;
}

static int take_timeout(struct infer *i, const struct kserve_parameter *p, struct kserve_wishes *w)
{
	if (p->kind != KSERVE_PARAMETER_INT64)
		return fail_kind(i, "timeout", "int64_param");
	if (p->int64_value < 0)
		return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
			"invalid value for 'timeout', expected value >= 0.");
	w->timeout_us = (uint64_t)p->int64_value;
	return 0;
}

/* *ret_taken: it has a meaning. */
static int take_known(struct infer *i, const char *key, const struct kserve_parameter *p,
	struct kserve_wishes *w, bool *ret_taken)
{
	*ret_taken = true;
	if (!strcmp(key, "sequence_id"))
		return take_sequence_id(i, p, w);
	if (!strcmp(key, "sequence_start"))
		return take_bool(i, key, p, &w->sequence_start);
	if (!strcmp(key, "sequence_end"))
		return take_bool(i, key, p, &w->sequence_end);
	if (!strcmp(key, "priority"))
		return take_priority(i, p, w);
	if (!strcmp(key, "timeout"))
		return take_timeout(i, p, w);
	if (!strcmp(key, "triton_enable_empty_final_response"))
		return take_bool(i, key, p, &w->empty_final_response);
	*ret_taken = false;
	if (strncmp(key, "triton_", strlen("triton_")) != 0)
		return 0;
	return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
		"parameter keys starting with 'triton_' are reserved for Triton usage. Only the "
		"following keys starting with 'triton_' are allowed: "
		"triton_enable_empty_final_response");
}

/* --- The model's ------------------------------------------------------------------------------ */

static int give_string(struct infer *i, const char *key, const struct kserve_parameter *p)
{
	char value[WIRE_TEXT_MAX + 2];
	size_t n = p->n_string < sizeof(value) ? p->n_string : sizeof(value) - 1;

	if (memchr(p->string_value, '\0', n))
		return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
			"parameter '%.*s' has a byte 0 in it", KEY_SHOWN, key);
	memcpy(value, p->string_value, n);
	value[n] = '\0';
	return infer_add_parameter(i, key, value); /* one that was cut is too long */
}

static int give(struct infer *i, const char *key, const struct kserve_parameter *p)
{
	char text[64];

	switch (p->kind) {
	case KSERVE_PARAMETER_BOOL:
		return infer_add_parameter(i, key, p->bool_value ? "true" : "false");
	case KSERVE_PARAMETER_INT64:
		snprintf(text, sizeof(text), "%" PRId64, p->int64_value);
		return infer_add_parameter(i, key, text);
	case KSERVE_PARAMETER_DOUBLE:
		snprintf(text, sizeof(text), "%.17g", p->double_value);
		return infer_add_parameter(i, key, text);
	case KSERVE_PARAMETER_STRING:
		return p->n_string > 0 ? give_string(i, key, p) : infer_add_parameter(i, key, "");
	default:
		return fail_kind(i, key, "int64_param, bool_param, or string_param");
	}
}

int kserve_read_parameters(
	struct infer *i, const struct kserve_request *m, struct kserve_wishes *ret_wishes)
{
	*ret_wishes = (struct kserve_wishes){0};
	if (m->n_parameters > ENTRIES_MAX)
		return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
			"%zu parameters exceed the limit of %u", m->n_parameters, WIRE_PAIRS_MAX);
	for (size_t k = 0; k < m->n_parameters; k++) {
		const struct kserve_entry *e = &m->parameters[k];
		struct kserve_parameter p;
		bool taken = false;
		int r;

		if (!is_last(m->parameters, m->n_parameters, k))
			continue;
		r = read_value(i, e, &p);
		if (!r)
			r = take_known(i, e->key, &p, ret_wishes, &taken);
		if (!r && !taken)
			r = give(i, e->key, &p);
		if (r)
			return r;
	}
	return 0;
}

/* --- A tensor's ------------------------------------------------------------------------------- */

#define REGION "shared_memory_region"
#define SIZE   "shared_memory_byte_size"
#define OFFSET "shared_memory_offset"

static int fail_place(struct infer *i, const char *key, const char *name, const char *expected)
{
	return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
		"invalid value type for '%s' parameter for tensor '%.*s', expected %s.", key,
		KEY_SHOWN, name, expected);
}

/* A negative one becomes huge, which no region holds. */
static int take_bytes(struct infer *i, const char *name, const struct kserve_entry *e,
	const struct kserve_parameter *p, uint64_t *ret_value, bool *ret_given)
{
	if (p->kind != KSERVE_PARAMETER_INT64)
		return fail_place(i, e->key, name, "int64_param");
	*ret_value = (uint64_t)p->int64_value;
	*ret_given = true;
	return 0;
}

struct place_given {
	bool size, offset;
};

static int take_place(struct infer *i, const char *name, const struct kserve_entry *e,
	struct kserve_place *place, struct place_given *given)
{
	struct kserve_parameter p;
	int r = read_value(i, e, &p);

	if (r)
		return r;
	if (!strcmp(e->key, SIZE))
		return take_bytes(i, name, e, &p, &place->length, &given->size);
	if (!strcmp(e->key, OFFSET))
		return take_bytes(i, name, e, &p, &place->offset, &given->offset);
	if (strcmp(e->key, REGION) != 0)
		return 0;
	if (p.kind != KSERVE_PARAMETER_STRING)
		return fail_place(i, REGION, name, "string_param");
	place->region = p.n_string > 0 ? p.string_value : "";
	place->n_region = p.n_string;
	return 0;
}

int kserve_read_place(struct infer *i, const char *name, const struct kserve_entry *list, size_t n,
	struct kserve_place *ret_place)
{
	struct place_given given = {0};
	int r = 0;

	*ret_place = (struct kserve_place){0};
	for (size_t k = 0; k < n && !r; k++)
		r = take_place(i, name, &list[k], ret_place, &given);
	if (r)
		return r;
	if (ret_place->region && !given.size)
		return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
			"'" SIZE "' must be specified along with '" REGION
			"' parameter for tensor '%.*s'",
			KEY_SHOWN, name);
	if (!ret_place->region && (given.size || given.offset))
		return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
			"'%s' can not be specified without '" REGION
			"' parameter for tensor '%.*s'",
			given.size ? SIZE : OFFSET, KEY_SHOWN, name);
	return 0;
}

int kserve_read_classes(struct infer *i, const struct kserve_output *o, uint64_t *ret_n_classes)
{
	*ret_n_classes = 0;
	for (size_t k = 0; k < o->n_parameters; k++) {
		struct kserve_parameter p;
		int r;

		if (strcmp(o->parameters[k].key, "classification") != 0)
			continue;
		r = read_value(i, &o->parameters[k], &p);
		if (r)
			return r;
		if (p.kind != KSERVE_PARAMETER_INT64)
			return fail_kind(i, "classification", "int64_param");
		if (p.int64_value <= 0)
			return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
				"invalid value for 'classification' parameter, expected >= 0");
		*ret_n_classes = (uint64_t)p.int64_value;
	}
	return 0;
}
