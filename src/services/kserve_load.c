/*
 * kserve_load.c: callers have models loaded and unloaded, in Triton's words, and wait for what comes of it. Only
 * from this host: whoever may do this decides what everybody else is served. Daemon process, loop thread.
 */
#include "services/kserve_load.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/overlay.h"
#include "models/overlay_bytes.h"
#include "proto/kserve/grpc_service.pb-c.h"
#include "services/caller.h"
#include "services/kserve_small.h"

#define FILE_KEY "file:"

typedef Inference__ModelRepositoryParameter Parameter;

enum {
	LOAD_E_FINISHED = 2, /* beside OVERLAY_E_INVALID: the call is, and its state is gone */
};

/* --- What came of it -------------------------------------------------------------------------- */

/* What loading and unloading have in common. */
static void refuse(struct kserve_load *w, enum lifecycle_code code, const char *text)
{
	switch (code) {
	case LIFECYCLE_NOT_ALLOWED:
		call_finish(w->call, GRPC_UNAVAILABLE, KSERVE_NOT_EXPLICIT);
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

/* What a load's message says, until it is answered, and until the files in it are written. */
struct load_message {
	atomic_uint refs;
	struct message_memory memory;
	struct overlay_file *files; /* in the memory, as what they point to */
	size_t n_files;
};

/* All borrowed from the call's message. */
struct asked {
	const char *name;
	const char *config;	      /* JSON of a ModelConfig; NULL: what the model's files say */
	struct load_message *message; /* of a load; NULL: it is none */
};

static void load_message_unref(void *data)
{
	struct load_message *m = data;

	if (atomic_fetch_sub(&m->refs, 1) > 1)
		return;
	message_memory_deinit(&m->memory);
	free(m);
}

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
		call_finish(c, GRPC_UNAVAILABLE, KSERVE_NOT_EXPLICIT);
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

static bool take_file(struct call *c, struct asked *a, const char *key, const Parameter *p)
{
	struct load_message *m = a->message;

	if (p->parameter_choice_case ==
		INFERENCE__MODEL_REPOSITORY_PARAMETER__PARAMETER_CHOICE_BYTES_PARAM) {
		m->files[m->n_files++] = (struct overlay_file){.path = key + strlen(FILE_KEY),
			.data = p->bytes_param.data,
			.n = p->bytes_param.len};
		return true;
	}
	call_finishf(c, GRPC_INVALID_ARGUMENT,
		"invalid value type for load parameter '%.255s', expected bytes_param.", key);
	return false;
}

static bool take_load_parameter(
	struct call *c, struct asked *a, const char *key, const Parameter *p)
{
	if (!strcmp(key, "config"))
		return take_config(c, a, p);
	if (!strncmp(key, FILE_KEY, strlen(FILE_KEY)))
		return take_file(c, a, key, p);
	call_finishf(c, GRPC_INVALID_ARGUMENT, "unrecognized load parameter '%.255s'.", key);
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

static void take(struct call *c, struct kserve_load *w, const char *repository, struct asked *a,
	const struct kind *kind, void *const *parameters, size_t n)
{
	static const Parameter no_value = INFERENCE__MODEL_REPOSITORY_PARAMETER__INIT;
	bool fine = check_repository(c, repository);

	for (size_t i = 0; fine && i < n; i++) {
		const Parameter *value = field_of(parameters[i], 1);

		fine = kind->take(c, a, field_of(parameters[i], 0), value ? value : &no_value);
	}
	if (fine)
		begin(c, w, a, kind);
}

/* OVERLAY_E_INVALID: why (cap bytes) says it; LOAD_E_FINISHED; -ENOMEM */
static int give_files(struct kserve_load *w, struct load_message *m, struct overlay *settings,
	char *why, size_t cap)
{
	const struct overlay_bytes bytes = {
		.list = m->files, .n = m->n_files, .release = load_message_unref, .data = m};
	struct spool_dir *dir;

	if (m->n_files == 0)
		return 0;
	if (!settings) {
		snprintf(why, cap, "files come with 'config', which says what they are");
		return OVERLAY_E_INVALID;
	}
	dir = kserve_upload_keep(w->call, &w->upload);
	if (!dir)
		return LOAD_E_FINISHED;
	atomic_fetch_add(&m->refs, 1);
	return overlay_set_files(settings, dir, &bytes, why, cap);
}

static void load(struct lifecycle *l, const struct asked *a, struct kserve_load *w)
{
	_cleanup_(overlay_unrefp) struct overlay *settings = NULL;
	char why[512];
	int r = a->config ? overlay_new_json(
				    &settings, a->config, strlen(a->config), why, sizeof(why))
			  : 0;

	if (!r)
		r = give_files(w, a->message, settings, why, sizeof(why));
	if (r == OVERLAY_E_INVALID)
		refuse_config(w, why);
	else if (!r)
		lifecycle_load(l, a->name, "", settings, &w->wait);
	else if (r != LOAD_E_FINISHED)
		message_no_memory(w->call);
}

static void unload(struct lifecycle *l, const struct asked *a, struct kserve_load *w)
{
	lifecycle_unload(l, a->name, "", &w->wait);
}

void kserve_load_message_begin(struct call *c, void *state, uint64_t length)
{
	kserve_upload_begin(c, &((struct kserve_load *)state)->upload, length);
}

size_t kserve_load_message_data(struct call *c, void *state, const uint8_t *data, size_t n)
{
	return kserve_upload_data(c, &((struct kserve_load *)state)->upload, data, n);
}

static void read_load(struct call *c, struct kserve_load *w, struct load_message *m)
{
	static const struct kind kind = {take_load_parameter, load, on_loaded};
	const struct buf *message = &w->upload.message;
	const Inference__RepositoryModelLoadRequest *q = message_read(c, &m->memory,
		&inference__repository_model_load_request__descriptor, message->data, message->len);
	struct asked a = {.message = m};

	if (!q)
		return;
	m->files = message_memory_calloc(&m->memory, q->n_parameters + 1, sizeof(*m->files));
	if (!m->files) {
		message_no_memory(c);
		return;
	}
	a.name = q->model_name;
	take(c, w, q->repository_name, &a, &kind, (void *const *)q->parameters, q->n_parameters);
}

/* The call may be gone behind read_load(). */
void kserve_load_message_end(struct call *c, void *state)
{
	struct kserve_load *w = state;
	struct load_message *m = calloc(1, sizeof(*m));

	if (!m) {
		message_no_memory(c);
		return;
	}
	atomic_init(&m->refs, 1);
	message_memory_init(&m->memory, KSERVE_SMALL_MEMORY + w->upload.message.len);
	read_load(c, w, m);
	load_message_unref(m);
}

void kserve_repository_model_unload(struct call *c, void *state, const uint8_t *data, size_t n)
{
	static const struct kind kind = {take_unload_parameter, unload, on_unloaded};
	const Inference__RepositoryModelUnloadRequest *q;
	struct asked a = {0};
	struct message_memory memory;

	message_memory_init(&memory, KSERVE_SMALL_MEMORY);
	q = message_read(
		c, &memory, &inference__repository_model_unload_request__descriptor, data, n);
	if (q) {
		a.name = q->model_name;
		take(c, state, q->repository_name, &a, &kind, (void *const *)q->parameters,
			q->n_parameters);
	}
	message_memory_deinit(&memory);
}

void kserve_load_close(struct call *c, void *state)
{
	struct kserve_load *w = state;

	kserve_upload_release(c, &w->upload);
	lifecycle_forget(&w->wait);
}
