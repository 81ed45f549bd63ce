/*
 * kserve_load.c: callers have models loaded and unloaded, in Triton's words, and wait for what comes of it. Only
 * from this host: whoever may do this decides what everybody else is served. Daemon process, loop thread.
 */
#include "services/kserve_load.h"

#include <stdio.h>
#include <string.h>

#include "models/overlay.h"
#include "proto/kserve/grpc_service.pb-c.h"
#include "services/caller.h"
#include "services/kserve_small.h"

#define NOT_ALLOWED "explicit model load / unload is not allowed if polling is enabled"

typedef Inference__ModelRepositoryParameter Parameter;

/* --- What came of it -------------------------------------------------------------------------- */

/* What loading and unloading have in common. */
static void refuse(struct kserve_load *w, enum lifecycle_code code, const char *text)
{
	switch (code) {
	case LIFECYCLE_NOT_ALLOWED:
		call_finish(w->call, GRPC_UNAVAILABLE, NOT_ALLOWED);
		break;
	case LIFECYCLE_ENDING:
		call_finish(w->call, GRPC_UNAVAILABLE, KSERVE_ENDING);
		break;
	case LIFECYCLE_FULL:
		call_finish(w->call, GRPC_RESOURCE_EXHAUSTED, text);
		break;
	case LIFECYCLE_SUPERSEDED:
		call_finish(w->call, GRPC_ABORTED, text);
		break;
	case LIFECYCLE_NO_MEMORY:
		message_no_memory(w->call);
		break;
	default:
		call_finish(w->call, GRPC_INTERNAL, text);
		break;
	}
}

/* In Triton's words, but not with its INTERNAL: the caller can mend it. */
static void refuse_config(struct kserve_load *w, const char *why)
{
	call_finishf(w->call, GRPC_INVALID_ARGUMENT,
		"failed to load '%s', failed to poll from model repository: %s", w->name, why);
}

static void on_loaded(struct lifecycle_wait *wait, enum lifecycle_code code, const char *text)
{
	static const Inference__RepositoryModelLoadResponse done =
		INFERENCE__REPOSITORY_MODEL_LOAD_RESPONSE__INIT;
	struct kserve_load *w = container_of(wait, struct kserve_load, wait);

	if (code == LIFECYCLE_OK)
		message_answer(w->call, &done.base);
	else if (code == LIFECYCLE_UNKNOWN || code == LIFECYCLE_INVALID)
		call_finishf(w->call, GRPC_INTERNAL,
			"failed to load '%s', failed to poll from model repository", w->name);
	else if (code == LIFECYCLE_WRONG)
		call_finishf(w->call, GRPC_INTERNAL,
			"failed to load '%s', failed to poll from model repository: %s", w->name,
			text);
	else if (code == LIFECYCLE_CONFIG)
		refuse_config(w, text);
	else if (code == LIFECYCLE_FAILED && wait->version)
		call_finishf(w->call, GRPC_INVALID_ARGUMENT,
			"load failed for model '%s': version %s is at UNAVAILABLE state: %s;\n",
			w->name, wait->version, wait->detail);
	else
		refuse(w, code, text);
}

/* What is not loaded needs no unloading. */
static void on_unloaded(struct lifecycle_wait *wait, enum lifecycle_code code, const char *text)
{
	static const Inference__RepositoryModelUnloadResponse done =
		INFERENCE__REPOSITORY_MODEL_UNLOAD_RESPONSE__INIT;
	struct kserve_load *w = container_of(wait, struct kserve_load, wait);

	if (code == LIFECYCLE_OK || code == LIFECYCLE_UNKNOWN || code == LIFECYCLE_INVALID)
		message_answer(w->call, &done.base);
	else
		refuse(w, code, text);
}

/* --- What is asked ---------------------------------------------------------------------------- */

/* All borrowed from the call's message. */
struct asked {
	const char *name;
	const char *config; /* JSON of a ModelConfig; NULL: what the model's files say */
};

/* What tells the two from each other. */
struct kind {
	/* Take a parameter. False: the call is finished. */
	bool (*take)(struct call *c, struct asked *a, const char *key, const Parameter *p);
	void (*ask)(struct lifecycle *l, const struct asked *a, struct kserve_load *w);
	void (*on_done)(struct lifecycle_wait *w, enum lifecycle_code code, const char *text);
};

static void begin(
	struct call *c, struct kserve_load *w, const struct asked *a, const struct kind *kind)
{
	struct lifecycle *l = ((struct services *)call_context(c))->lifecycle;

	if (!l || !lifecycle_explicit(l)) {
		call_finish(c, GRPC_UNAVAILABLE, NOT_ALLOWED);
		return;
	}
	if (!caller_is_local(c)) {
		call_finish(c, GRPC_PERMISSION_DENIED,
			"models are loaded and unloaded from this host only");
		return;
	}
	w->call = c;
	w->wait.on_done = kind->on_done;
	snprintf(w->name, sizeof(w->name), "%s", a->name);
	kind->ask(l, a, w);
}

static bool take_config(struct call *c, struct asked *a, const Parameter *p)
{
	if (p->parameter_choice_case ==
		INFERENCE__MODEL_REPOSITORY_PARAMETER__PARAMETER_CHOICE_STRING_PARAM) {
		a->config = p->string_param;
		return true;
	}
	call_finish(c, GRPC_INVALID_ARGUMENT,
		"invalid value type for load parameter 'config', expected string_param.");
	return false;
}

static void refuse_file(struct call *c, const char *key, const Parameter *p)
{
	if (p->parameter_choice_case !=
		INFERENCE__MODEL_REPOSITORY_PARAMETER__PARAMETER_CHOICE_BYTES_PARAM)
		call_finishf(c, GRPC_INVALID_ARGUMENT,
			"invalid value type for load parameter '%.255s', expected bytes_param.",
			key);
	else
		call_finishf(c, GRPC_UNIMPLEMENTED,
			"load parameter '%.255s' is not supported: models are files of a "
			"repository",
			key);
}

static bool take_load_parameter(
	struct call *c, struct asked *a, const char *key, const Parameter *p)
{
	if (!strcmp(key, "config"))
		return take_config(c, a, p);
	if (!strncmp(key, "file:", strlen("file:")))
		refuse_file(c, key, p);
	else
		call_finishf(
			c, GRPC_INVALID_ARGUMENT, "unrecognized load parameter '%.255s'.", key);
	return false;
}

static bool take_unload_parameter(
	struct call *c, struct asked *a, const char *key, const Parameter *p)
{
	(void)a;
	if (strcmp(key, "unload_dependents") != 0 ||
		p->parameter_choice_case ==
			INFERENCE__MODEL_REPOSITORY_PARAMETER__PARAMETER_CHOICE_BOOL_PARAM)
		return true;
	call_finish(c, GRPC_INVALID_ARGUMENT,
		"invalid value type for 'unload_dependents' parameter, expected bool_param.");
	return false;
}

static bool check_repository(struct call *c, const char *name)
{
	if (name[0] == '\0')
		return true;
	call_finish(c, GRPC_UNIMPLEMENTED, KSERVE_NAMED_REPOSITORY);
	return false;
}

/* A map entry's field, which is a pointer: 0 is the key, 1 the value. */
static void *field_of(const ProtobufCMessage *entry, unsigned i)
{
	void *at;

	memcpy(&at, (const char *)entry + entry->descriptor->fields[i].offset, sizeof(at));
	return at;
}

static void take(struct call *c, struct kserve_load *w, const char *repository, const char *model,
	const struct kind *kind, void *const *parameters, size_t n)
{
	static const Parameter no_value = INFERENCE__MODEL_REPOSITORY_PARAMETER__INIT;
	struct asked a = {.name = model};
	bool fine = check_repository(c, repository);

	for (size_t i = 0; fine && i < n; i++) {
		const Parameter *value = field_of(parameters[i], 1);

		fine = kind->take(c, &a, field_of(parameters[i], 0), value ? value : &no_value);
	}
	if (fine)
		begin(c, w, &a, kind);
}

static void load(struct lifecycle *l, const struct asked *a, struct kserve_load *w)
{
	_cleanup_(overlay_unrefp) struct overlay *settings = NULL;
	char why[512];
	int r = a->config ? overlay_new_json(
				    &settings, a->config, strlen(a->config), why, sizeof(why))
			  : 0;

	if (r == OVERLAY_E_INVALID)
		refuse_config(w, why);
	else if (r)
		message_no_memory(w->call);
	else
		lifecycle_load(l, a->name, "", settings, &w->wait);
}

static void unload(struct lifecycle *l, const struct asked *a, struct kserve_load *w)
{
	lifecycle_unload(l, a->name, "", &w->wait);
}

void kserve_repository_model_load(struct call *c, void *state, const uint8_t *data, size_t n)
{
	static const struct kind kind = {take_load_parameter, load, on_loaded};
	const Inference__RepositoryModelLoadRequest *q;
	struct message_memory memory;

	message_memory_init(&memory, KSERVE_SMALL_MEMORY);
	q = message_read(
		c, &memory, &inference__repository_model_load_request__descriptor, data, n);
	if (q)
		take(c, state, q->repository_name, q->model_name, &kind,
			(void *const *)q->parameters, q->n_parameters);
	message_memory_deinit(&memory);
}

void kserve_repository_model_unload(struct call *c, void *state, const uint8_t *data, size_t n)
{
	static const struct kind kind = {take_unload_parameter, unload, on_unloaded};
	const Inference__RepositoryModelUnloadRequest *q;
	struct message_memory memory;

	message_memory_init(&memory, KSERVE_SMALL_MEMORY);
	q = message_read(
		c, &memory, &inference__repository_model_unload_request__descriptor, data, n);
	if (q)
		take(c, state, q->repository_name, q->model_name, &kind,
			(void *const *)q->parameters, q->n_parameters);
	message_memory_deinit(&memory);
}

void kserve_load_close(struct call *c, void *state)
{
	(void)c;
	lifecycle_forget(&((struct kserve_load *)state)->wait);
}
