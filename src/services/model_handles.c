/*
 * model_handles.c: handles of clients on models. Daemon process, loop thread.
 *
 * Invariant: each handle is one reference of the lifecycle's; an owner has at least one, unless it is a session.
 */
#include "services/model_handles.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/digits.h"
#include "base/hash.h"
#include "models/lifecycle.h"

struct owner {
	struct list node;
	struct list handles;	/* struct model_handle.owner_node */
	const void *connection; /* borrow: compared alone; NULL: a session */
	uint64_t until_ns;	/* of a session */
	uint32_t n;
	char session[]; /* "": a connection */
};

struct model_handle {
	struct list node; /* in its bucket */
	struct list owner_node;
	struct owner *owner; /* borrow */
	char token[MODEL_HANDLE_DIGITS + 1];
	char model[];
};

#define OWNER(at) list_entry(at, struct owner, node)

/* --- Going -------------------------------------------------------------------------------------- */

/* Returns how many references are left. */
static uint32_t drop(struct model_handles *h, struct model_handle *handle)
{
	uint32_t left = lifecycle_unrefer(h->lifecycle, handle->model);

	list_remove(&handle->node);
	list_remove(&handle->owner_node);
	handle->owner->n--;
	free(handle);
	return left;
}

static void drop_owner(struct model_handles *h, struct owner *o)
{
	struct list *node;

	while ((node = list_first(&o->handles)))
		(void)drop(h, list_entry(node, struct model_handle, owner_node));
	list_remove(&o->node);
	h->n_sessions -= o->session[0] != '\0';
	free(o);
}

void model_handles_forget(struct model_handles *h, const void *connection)
{
	list_for_each (&h->owners, node) {
		if (OWNER(node)->connection == connection)
			drop_owner(h, OWNER(node));
	}
}

/* --- Sessions ----------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer);

static void arm(struct model_handles *h)
{
	uint64_t first_ns = CLOCK_NO_DEADLINE;

	list_for_each (&h->owners, node) {
		if (OWNER(node)->session[0] && OWNER(node)->until_ns < first_ns)
			first_ns = OWNER(node)->until_ns;
	}
	if (first_ns != CLOCK_NO_DEADLINE)
		uv_timer_start(h->timer, on_timer, clock_ms_until(clock_ns(), first_ns), 0);
}

static void on_timer(uv_timer_t *timer)
{
	struct model_handles *h = timer->data;
	uint64_t now_ns = clock_ns();

	list_for_each (&h->owners, node) {
		if (OWNER(node)->session[0] && OWNER(node)->until_ns <= now_ns)
			drop_owner(h, OWNER(node));
	}
	arm(h);
}

static void touch(struct model_handles *h, struct owner *o)
{
	if (!o->session[0])
		return;
	o->until_ns = clock_add(clock_ns(), h->settings->session_ttl_ms * NS_PER_MS);
	if (!uv_is_active((uv_handle_t *)h->timer))
		arm(h);
}

/* --- Coming ------------------------------------------------------------------------------------- */

static struct owner *find_owner(
	const struct model_handles *h, const void *connection, const char *session)
{
	list_for_each (&h->owners, node) {
		struct owner *o = OWNER(node);

		if (*session ? !strcmp(o->session, session) : o->connection == connection)
			return o;
	}
	return NULL;
}

static int make_owner(struct model_handles *h, const void *connection, const char *session,
	struct owner **ret_owner)
{
	size_t n = strlen(session) + 1;
	struct owner *o;

	if (n > 1 && h->n_sessions >= h->settings->max_sessions)
		return MODEL_HANDLES_E_SESSIONS;
	o = calloc(1, sizeof(*o) + n);
	if (!o)
		return -ENOMEM;
	o->connection = n > 1 ? NULL : connection;
	memcpy(o->session, session, n);
	list_init(&o->handles);
	list_push_back(&h->owners, &o->node);
	h->n_sessions += n > 1;
	*ret_owner = o;
	return 0;
}

static struct list *bucket_of(struct model_handles *h, const char *token)
{
	return &h->buckets[hash_bytes(token, MODEL_HANDLE_DIGITS) % MODEL_HANDLES_BUCKETS];
}

static int make_handle(const char *model, struct model_handle **ret_handle)
{
	size_t n = strlen(model) + 1;
	struct model_handle *handle = calloc(1, sizeof(*handle) + n);
	uint64_t random[2];
	ssize_t filled = handle ? getrandom(random, sizeof(random), 0) : 0;

	if (!handle)
		return -ENOMEM;
	if (filled != (ssize_t)sizeof(random)) {
		free(handle);
		return -EIO;
	}
	hex64_write(handle->token, random[0]);
	hex64_write(handle->token + HEX64_DIGITS, random[1]);
	memcpy(handle->model, model, n);
	list_init(&handle->node);
	list_init(&handle->owner_node);
	*ret_handle = handle;
	return 0;
}

/* Of an owner, which goes where it has none then. */
static int add(struct model_handles *h, struct owner *o, const char *model, char *token)
{
	struct model_handle *handle = NULL;
	int r = o->n < h->settings->max_handles ? make_handle(model, &handle)
						: MODEL_HANDLES_E_FULL;

	if (r)
		return r;
	r = lifecycle_refer(h->lifecycle, model);
	if (r) {
		free(handle);
		return r;
	}
	handle->owner = o;
	o->n++;
	list_push_back(&o->handles, &handle->owner_node);
	list_push_back(bucket_of(h, handle->token), &handle->node);
	memcpy(token, handle->token, sizeof(handle->token));
	touch(h, o);
	return 0;
}

int model_handles_add(struct model_handles *h, const char *model, const void *connection,
	const char *session, char *token)
{
	struct owner *o = find_owner(h, connection, session);
	int r = o ? 0 : make_owner(h, connection, session, &o);

	if (!r)
		r = add(h, o, model, token);
	if (r && o && o->n == 0)
		drop_owner(h, o);
	return r;
}

bool model_handles_release(struct model_handles *h, const char *token, uint32_t *ret_remaining)
{
	if (strlen(token) != MODEL_HANDLE_DIGITS)
		return false;
	list_for_each (bucket_of(h, token), node) {
		struct model_handle *handle = list_entry(node, struct model_handle, node);
		struct owner *o = handle->owner;

		if (strcmp(handle->token, token) != 0)
			continue;
		*ret_remaining = drop(h, handle);
		if (o->n == 0 && !o->session[0])
			drop_owner(h, o);
		return true;
	}
	return false;
}

/* --- Life --------------------------------------------------------------------------------------- */

int model_handles_init(
	struct model_handles *h, uv_loop_t *loop, const struct model_handles_settings *settings)
{
	*h = (struct model_handles){.settings = settings};
	list_init(&h->owners);
	for (size_t i = 0; i < MODEL_HANDLES_BUCKETS; i++)
		list_init(&h->buckets[i]);
	h->timer = malloc(sizeof(*h->timer));
	if (!h->timer)
		return -ENOMEM;
	uv_timer_init(loop, h->timer);
	h->timer->data = h;
	return 0;
}

static void on_closed(uv_handle_t *timer)
{
	free(timer);
}

void model_handles_close(struct model_handles *h)
{
	if (!h->timer)
		return;
	list_for_each (&h->owners, node)
		drop_owner(h, OWNER(node));
	uv_close((uv_handle_t *)h->timer, on_closed);
	h->timer = NULL;
}
