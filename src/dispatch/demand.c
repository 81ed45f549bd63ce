/*
 * demand.c: who asks for a model that is not served. Daemon process, loop thread.
 *
 * Whoever is told may give others up, or make more: so those that end are taken from a list of their own, one by one.
 */
#include "dispatch/demand.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "dispatch/client_private.h"
#include "dispatch/request.h"

struct demand {
	struct list node;
	struct client *client; /* ref; charged with a request */
	uint64_t until_ns;
	uint64_t deadline_ns;
	void (*on_end)(void *data, enum grpc_status status, const char *text);
	void *data;  /* borrow */
	char name[]; /* as on_demand had it */
};

#define DEMAND(at) list_entry(at, struct demand, node)
#define TEXT_MAX   512u

void demands_init(struct demands *d, uint64_t wait_ms, uint32_t max_per_client,
	bool (*on_demand)(void *data, const char *name), void (*wake)(void *data), void *data)
{
	*d = (struct demands){.wait_ms = wait_ms,
		.wait_ns = CLOCK_NO_DEADLINE,
		.max_per_client = max_per_client,
		.on_demand = on_demand,
		.wake = wake,
		.data = data};
	list_init(&d->list);
}

/* --- In --------------------------------------------------------------------------------------- */

static struct demand *make(const struct demand_wish *w)
{
	size_t n = strlen(w->model) + strlen(w->version) + 2;
	struct demand *d = malloc(sizeof(*d) + n);

	if (!d)
		return NULL;
	*d = (struct demand){.deadline_ns = w->deadline_ns, .on_end = w->on_end, .data = w->data};
	list_init(&d->node);
	snprintf(d->name, n, "%s%s%s", w->model, *w->version ? ":" : "", w->version);
	return d;
}

static void enter(struct demands *d, struct demand *new, struct client *c)
{
	new->client = client_ref(c);
	client_charge_request(c);
	new->until_ns = clock_add(clock_ns(), clock_ms_to_ns(d->wait_ms));
	if (new->deadline_ns < new->until_ns)
		new->until_ns = new->deadline_ns;
	list_push_back(&d->list, &new->node);
	if (new->until_ns < d->wait_ns)
		d->wait_ns = new->until_ns;
	d->wake(d->data);
}

int demand_new(struct demand **ret_demand, struct demands *d, const struct demand_wish *wish)
{
	struct demand *new;

	if (!d->on_demand || d->closed || d->wait_ms == 0)
		return DEMAND_E_NOBODY;
	new = make(wish);
	if (!new)
		return -ENOMEM;
	if (!d->on_demand(d->data, new->name)) {
		free(new);
		return DEMAND_E_NOBODY;
	}
	if (!wish->allows_excess && client_requests(wish->client) >= d->max_per_client) {
		free(new);
		return DEMAND_E_FULL;
	}
	enter(d, new, wish->client);
	*ret_demand = new;
	return 0;
}

/* --- Out -------------------------------------------------------------------------------------- */

struct demand *demand_free(struct demand *d)
{
	if (!d)
		return NULL;
	list_remove(&d->node);
	client_refund_request(d->client);
	client_unref(d->client);
	free(d);
	return NULL;
}

static void end(struct demand *d, enum grpc_status status, const char *text)
{
	void (*on_end)(void *data, enum grpc_status status, const char *text) = d->on_end;
	void *data = d->data;

	demand_free(d);
	on_end(data, status, text);
}

/* Those that begin to end now. wait_ns is of those that stay. */
static void take(struct demands *d, struct list *ret_taken,
	bool (*ends)(const struct demand *d, const void *key), const void *key)
{
	list_init(ret_taken);
	d->wait_ns = CLOCK_NO_DEADLINE;
	list_for_each (&d->list, node) {
		if (ends(DEMAND(node), key)) {
			list_remove(node);
			list_push_back(ret_taken, node);
		} else if (DEMAND(node)->until_ns < d->wait_ns) {
			d->wait_ns = DEMAND(node)->until_ns;
		}
	}
}

static bool is_for(const struct demand *d, const void *key)
{
	return !strcmp(d->name, key);
}

void demands_end(struct demands *d, const char *name, enum grpc_status status, const char *text)
{
	struct list taken;
	struct list *node;

	take(d, &taken, is_for, name);
	while ((node = list_first(&taken)))
		end(DEMAND(node), status, text);
}

bool demands_has(const struct demands *d, const char *model)
{
	size_t n = strlen(model);

	list_for_each (&d->list, node) {
		const char *name = DEMAND(node)->name;

		if (!strncmp(name, model, n) && (!name[n] || name[n] == ':'))
			return true;
	}
	return false;
}

static bool is_due(const struct demand *d, const void *key)
{
	return d->until_ns <= *(const uint64_t *)key;
}

static void end_late(const struct demands *d, struct demand *late, uint64_t now_ns)
{
	char text[TEXT_MAX];

	if (d->closed) {
		end(late, GRPC_UNAVAILABLE, DISPATCH_ENDING_TEXT);
		return;
	}
	if (late->deadline_ns <= now_ns) {
		snprintf(text, sizeof(text),
			"deadline passed, and model '%.255s' was not loaded yet", late->name);
		end(late, GRPC_DEADLINE_EXCEEDED, text);
		return;
	}
	snprintf(text, sizeof(text),
		"model '%.255s' was not loaded within %" PRIu64 " ms ([dispatch] retry_wait_ms)",
		late->name, d->wait_ms);
	end(late, GRPC_UNAVAILABLE, text);
}

void demands_run(struct demands *d, uint64_t now_ns)
{
	uint64_t until_ns = d->closed ? CLOCK_NO_DEADLINE : now_ns;
	struct list taken;
	struct list *node;

	if (list_empty(&d->list) || (!d->closed && now_ns < d->wait_ns))
		return;
	take(d, &taken, is_due, &until_ns);
	while ((node = list_first(&taken)))
		end_late(d, DEMAND(node), now_ns);
}
