/*
 * kserve_repository.c: RepositoryIndex: what the repositories have, and what has become of it. Where callers say
 * which models there are, the repositories are read for it, as Triton does: what was copied there since can be
 * loaded. Daemon process, loop thread.
 */
#include "services/kserve_repository.h"

#include "proto/kserve/grpc_service.pb-c.h"
#include "services/kserve_small.h"

typedef Inference__RepositoryIndexResponse__ModelIndex Index;

struct listing {
	Index **models; /* borrow; NULL: they are only counted */
	size_t cap;
	size_t n; /* may be more than cap: where there was no memory for all when they were counted */
	bool ready; /* those alone */
};

static const char *state_name(enum lifecycle_state state)
{
	static const char *const names[] = {
		[LIFECYCLE_UNLOADED] = "", /* Triton's word for what was never asked for */
		[LIFECYCLE_LOADING] = "LOADING",
		[LIFECYCLE_READY] = "READY",
		[LIFECYCLE_UNAVAILABLE] = "UNAVAILABLE",
		[LIFECYCLE_UNLOADING] = "UNLOADING",
	};

	return names[state];
}

static void on_item(void *data, const struct lifecycle_item *item)
{
	struct listing *l = data;
	Index *m;

	if (l->ready && item->state != LIFECYCLE_READY)
		return;
	if (l->n < l->cap) {
		m = l->models[l->n];
		inference__repository_index_response__model_index__init(m);
		m->name = (char *)item->name;
		m->version = (char *)item->version;
		m->state = (char *)state_name(item->state);
		m->reason = (char *)item->reason;
	}
	l->n++;
}

static void answer_index(struct call *c, bool ready)
{
	const struct services *x = call_context(c);
	Inference__RepositoryIndexResponse m = INFERENCE__REPOSITORY_INDEX_RESPONSE__INIT;
	struct listing list = {.ready = ready};
	struct message_memory memory;

	message_memory_init(&memory, KSERVE_SMALL_MEMORY);
	if (x->lifecycle)
		lifecycle_list(x->lifecycle, on_item, &list);
	call_work(c, list.n / 4);
	m.n_models = list.n;
	list = (struct listing){
		.models = (Index **)kserve_small_array(&memory, list.n, sizeof(Index)),
		.cap = list.n,
		.ready = ready,
	};
	m.models = list.models;
	if (list.models && x->lifecycle)
		lifecycle_list(x->lifecycle, on_item, &list);
	if (!list.models || list.n != m.n_models)
		message_no_memory(c);
	else
		message_answer(c, &m.base);
	message_memory_deinit(&memory);
}

/* Where they cannot be read, what was read last is listed. */
static void on_refreshed(struct lifecycle_wait *wait, enum lifecycle_code code, const char *text)
{
	struct kserve_index *w = container_of(wait, struct kserve_index, wait);

	(void)text;
	if (code == LIFECYCLE_ENDING)
		call_finish(w->call, GRPC_UNAVAILABLE, KSERVE_ENDING);
	else
		call_await_turn(w->call);
}

/* All who wait for one reading hear of its end at once. */
void kserve_repository_index_turn(struct call *c, void *state)
{
	answer_index(c, ((struct kserve_index *)state)->ready);
}

static void begin(struct call *c, struct kserve_index *w, bool ready)
{
	struct lifecycle *l = ((struct services *)call_context(c))->lifecycle;

	if (!l || !lifecycle_explicit(l)) {
		answer_index(c, ready);
		return;
	}
	w->call = c;
	w->ready = ready;
	w->wait.on_done = on_refreshed;
	lifecycle_refresh(l, &w->wait);
}

void kserve_repository_index(struct call *c, void *state, const uint8_t *data, size_t n)
{
	const Inference__RepositoryIndexRequest *q;
	struct message_memory memory;

	message_memory_init(&memory, KSERVE_SMALL_MEMORY);
	q = message_read(c, &memory, &inference__repository_index_request__descriptor, data, n);
	if (q && q->repository_name[0] != '\0')
		call_finish(c, GRPC_UNIMPLEMENTED, KSERVE_NAMED_REPOSITORY);
	else if (q)
		begin(c, state, q->ready);
	message_memory_deinit(&memory);
}

void kserve_repository_index_close(struct call *c, void *state)
{
	(void)c;
	lifecycle_forget(&((struct kserve_index *)state)->wait);
}
