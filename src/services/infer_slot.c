/* infer_slot.c: making and keeping answers. Daemon process, loop thread. */
#include "services/infer_slot.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch/output_share.h"
#include "services/infer_reply.h"
#include "services/infer_stream.h"

/* An answer in part. */
struct part_reply {
	struct list node; /* in infer_slot.parts */
	struct infer_reply reply;
};

static size_t slot_size(const struct infer_stream *s)
{
	return offsetof(struct infer_slot, infer) + s->kind->size;
}

static struct infer_slot *blank_slot(struct infer_stream *s)
{
	struct list *node = list_first(&s->spare);
	struct infer_slot *slot;

	if (!node)
		return calloc(1, slot_size(s));
	list_remove(node);
	slot = list_entry(node, struct infer_slot, node);
	memset(slot, 0, slot_size(s));
	return slot;
}

struct infer_slot *infer_slot_new(
	struct infer_stream *s, infer_done_fn on_done, void (*on_read)(struct infer *i))
{
	struct infer_slot *slot = blank_slot(s);

	if (!slot)
		return NULL;
	slot->stream = s;
	infer_init(&slot->infer, s->kind, s->receive.services, on_done, slot);
	slot->infer.allows_partial = s->kind->partial;
	slot->infer.allows_excess = true;
	slot->infer.on_read = on_read;
	list_init(&slot->parts);
	list_init(&slot->node);
	list_push_back(&s->slots, &slot->node);
	s->n_slots++;
	return slot;
}

static void part_free(struct part_reply *p)
{
	list_remove(&p->node);
	infer_reply_deinit(&p->reply);
	free(p);
}

void infer_slot_free(struct infer_slot *slot)
{
	struct infer_stream *s = slot->stream;
	struct list *node;

	while ((node = list_first(&slot->parts)))
		part_free(list_entry(node, struct part_reply, node));
	list_remove(&slot->node);
	s->n_slots--;
	if (slot->reply)
		infer_reply_deinit(slot->reply);
	free(slot->reply);
	infer_deinit(&slot->infer);
	if (list_empty(&s->spare))
		list_push_back(&s->spare, &slot->node);
	else
		free(slot);
}

void infer_slot_free_spare(struct infer_stream *s)
{
	struct list *node = list_first(&s->spare);

	if (!node)
		return;
	list_remove(node);
	free(list_entry(node, struct infer_slot, node));
}

bool infer_slot_failed(const struct infer_slot *slot)
{
	return slot->infer.failure.status != GRPC_OK;
}

int infer_slot_keep(struct infer_slot *slot, const struct request_result *result)
{
	struct infer *i = &slot->infer;
	struct infer_reply *reply = malloc(sizeof(*reply));

	if (!reply)
		return infer_fail_memory(&i->failure);
	infer_reply_init(reply, INFER_REPLY_MEMORY_MAX);
	slot->reply = reply;
	return i->kind->reply(i, result, reply);
}

/* --- Answers in part -------------------------------------------------------------------------- */

int infer_slot_keep_part(struct infer_slot *slot, const struct request_result *result)
{
	struct infer *i = &slot->infer;
	struct part_reply *p = malloc(sizeof(*p));
	int r;

	if (!p)
		return infer_fail_memory(&i->failure);
	list_init(&p->node);
	infer_reply_init(&p->reply, INFER_REPLY_MEMORY_MAX);
	r = i->kind->reply(i, result, &p->reply);
	if (r)
		part_free(p);
	else
		list_push_back(&slot->parts, &p->node);
	return r;
}

int infer_slot_send_part(struct infer_slot *slot, const struct request_result *result)
{
	struct infer *i = &slot->infer;
	struct infer_reply reply;
	int r;

	infer_reply_init(&reply, INFER_REPLY_MEMORY_MAX);
	r = i->kind->reply(i, result, &reply);
	if (!r && infer_reply_send(&reply, slot->stream->call))
		r = infer_fail_memory(&i->failure);
	infer_reply_deinit(&reply);
	return r;
}

int infer_slot_send_kept(struct infer_slot *slot)
{
	struct list *node;
	int r = 0;

	while (!r && (node = list_first(&slot->parts))) {
		struct part_reply *p = list_entry(node, struct part_reply, node);

		r = infer_reply_send(&p->reply, slot->stream->call);
		part_free(p);
	}
	return r;
}

int infer_slot_count_unread(struct infer_slot *slot, bool ready)
{
	bool over = !ready && output_share_over(call_connection(slot->stream->call));

	slot->n_unread = ready ? 0 : slot->n_unread + 1;
	if (!over && slot->n_unread <= slot->stream->receive.services->settings->max_unread_answers)
		return 0;
	return infer_fail(&slot->infer.failure, GRPC_RESOURCE_EXHAUSTED,
		"%" PRIu32 " answers of one request wait for the client to read, above %s",
		slot->n_unread,
		over ? "its share of [worker] output_arena_bytes" : "[limits] max_unread_answers");
}
