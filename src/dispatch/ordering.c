/*
 * ordering.c: a list of requests per version, and answers that wait in it.
 *
 * Invariants: the first of the list has no answer yet, but between an event and the request_tell_ordered() that follows it; one that has an
 * answer is SENT while its batch goes on, else LEAVING. Daemon process, loop thread.
 */
#include "dispatch/ordering.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch/queue_settings.h"
#include "dispatch/request_private.h"
#include "dispatch/version_private.h"
#include "dispatch/work.h"
#include "pool/worker.h"

/* NULL: no memory. */
static struct kept_answer *kept_new(const struct request_answer *a)
{
	struct kept_answer *k = malloc(sizeof(*k) + a->n_outputs * sizeof(k->outputs[0]));

	if (!k)
		return NULL;
	k->message = strdup(a->message ? a->message : "");
	if (!k->message) {
		free(k);
		return NULL;
	}
	if (a->n_outputs > 0)
		memcpy(k->outputs, a->outputs, a->n_outputs * sizeof(k->outputs[0]));
	k->answer = *a;
	k->answer.message = k->message;
	k->answer.outputs = k->outputs;
	k->answer.worker = NULL;
	if (a->lease)
		output_lease_ref(a->lease);
	return k;
}

struct kept_answer *kept_answer_free(struct kept_answer *k)
{
	if (!k)
		return NULL;
	if (k->answer.lease)
		output_lease_unref(k->answer.lease);
	free(k->message);
	free(k);
	return NULL;
}

static bool keeps_order(const struct version *v)
{
	return v->settings.queue && v->settings.queue->keep_order && !version_decoupled(v);
}

void ordering_enter(struct work *w, struct request *r)
{
	if (keeps_order(w->version) && list_empty(&r->order_node))
		list_push_back(&w->ordered, &r->order_node);
}

bool ordering_keep(struct request *r, const struct request_answer *a)
{
	if (r->kept)
		return true;
	if (list_empty(&r->order_node) || r->version->work->ordered.next == &r->order_node)
		return false;
	r->kept = kept_new(a);
	return r->kept != NULL;
}

void ordering_leave(struct request *r)
{
	list_remove(&r->order_node);
	r->kept = kept_answer_free(r->kept);
}

struct request *ordering_take(struct work *w, struct kept_answer **ret_answer)
{
	struct list *node = list_first(&w->ordered);
	struct request *r = node ? list_entry(node, struct request, order_node) : NULL;

	if (!r || !r->kept)
		return NULL;
	list_remove(&r->order_node);
	*ret_answer = steal_ptr(r->kept);
	return r;
}
