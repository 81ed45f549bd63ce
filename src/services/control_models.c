/*
 * control_models.c: callers have models loaded, unloaded and read again, and wait for what comes of it. Only
 * from this host: whoever may do this decides what everybody else is served. Daemon process, loop thread.
 */
#include "services/control_models.h"

#include "base/list.h"
#include "grpc/message.h"
#include "grpc/message_memory.h"
#include "proto/control.pb-c.h"
#include "services/caller.h"
#include "services/services.h"

typedef Modeld__Control__V1__ModelRequest Request;

static enum grpc_status status_of(enum lifecycle_code code)
{
	static const enum grpc_status statuses[] = {
		[LIFECYCLE_OK] = GRPC_OK,
		[LIFECYCLE_NOT_ALLOWED] = GRPC_FAILED_PRECONDITION,
		[LIFECYCLE_INVALID] = GRPC_INVALID_ARGUMENT,
		[LIFECYCLE_UNKNOWN] = GRPC_NOT_FOUND,
		[LIFECYCLE_WRONG] = GRPC_FAILED_PRECONDITION,
		[LIFECYCLE_CONFIG] = GRPC_FAILED_PRECONDITION,
		[LIFECYCLE_OTHER] = GRPC_FAILED_PRECONDITION,
		[LIFECYCLE_FULL] = GRPC_RESOURCE_EXHAUSTED,
		[LIFECYCLE_FAILED] = GRPC_INTERNAL,
		[LIFECYCLE_SUPERSEDED] = GRPC_ABORTED,
		[LIFECYCLE_ENDING] = GRPC_UNAVAILABLE,
		[LIFECYCLE_NO_MEMORY] = GRPC_RESOURCE_EXHAUSTED,
	};

	return statuses[code];
}

static void on_done(struct lifecycle_wait *wait, enum lifecycle_code code, const char *text)
{
	static const Modeld__Control__V1__ModelResponse done =
		MODELD__CONTROL__V1__MODEL_RESPONSE__INIT;
	struct control_waiter *w = container_of(wait, struct control_waiter, wait);

	if (code == LIFECYCLE_OK)
		message_answer(w->call, &done.base);
	else
		call_finish(w->call, status_of(code), text);
}

static struct lifecycle *lifecycle_of(struct call *c)
{
	struct lifecycle *l = ((struct services *)call_context(c))->lifecycle;

	if (!caller_is_local(c)) {
		call_finish(c, GRPC_PERMISSION_DENIED,
			"models are loaded and unloaded from this host only");
		return NULL;
	}
	if (!l)
		call_finish(c, GRPC_UNIMPLEMENTED, "models cannot be loaded and unloaded here");
	return l;
}

/* NULL: the call has ended. Borrowed from `memory`. */
static const Request *unpack(
	struct call *c, struct message_memory *memory, const uint8_t *data, size_t n)
{
	return message_read(c, memory, &modeld__control__v1__model_request__descriptor, data, n);
}

static struct lifecycle_wait *begin_wait(struct call *c, void *state)
{
	struct control_waiter *w = state;

	w->call = c;
	w->wait.on_done = on_done;
	return &w->wait;
}

/* What a message asks for. */
typedef void ask_call(struct call *c, struct lifecycle *l, const Request *m, void *state);

static void handle(struct call *c, void *state, const uint8_t *data, size_t n, ask_call *ask)
{
	struct lifecycle *l = lifecycle_of(c);
	const Request *m;
	struct message_memory memory;

	if (!l)
		return;
	message_memory_init(&memory, MESSAGE_UNPACK_MAX(n));
	m = unpack(c, &memory, data, n);
	if (m)
		ask(c, l, m, state);
	message_memory_deinit(&memory);
}

static void load(struct call *c, struct lifecycle *l, const Request *m, void *state)
{
	lifecycle_load(l, m->name, m->version, NULL, begin_wait(c, state));
}

void control_load_message(struct call *c, void *state, const uint8_t *data, size_t n)
{
	handle(c, state, data, n, load);
}

static void unload(struct call *c, struct lifecycle *l, const Request *m, void *state)
{
	lifecycle_unload(l, m->name, m->version, begin_wait(c, state));
}

void control_unload_message(struct call *c, void *state, const uint8_t *data, size_t n)
{
	handle(c, state, data, n, unload);
}

static void reload(struct call *c, struct lifecycle *l, const Request *m, void *state)
{
	if (*m->version)
		call_finish(
			c, GRPC_INVALID_ARGUMENT, "a model is read again with all its versions");
	else if (*m->name)
		lifecycle_reload(l, m->name, begin_wait(c, state));
	else
		lifecycle_reload_all(l, begin_wait(c, state));
}

void control_reload_message(struct call *c, void *state, const uint8_t *data, size_t n)
{
	handle(c, state, data, n, reload);
}

void control_models_close(struct call *c, void *state)
{
	(void)c;
	lifecycle_forget(&((struct control_waiter *)state)->wait);
}
