/*
 * call_compress.c: replies that are compressed. A message's length comes first, so all of it is compressed before
 * any of it is sent; everybody waits meanwhile. So a small one is compressed at once, while the turn of the loop has time
 * for it, and goes as it is when not; a large one is kept as a `reply` with what it is made of, and some of
 * it is compressed each turn, in turns with others. What its call queues meanwhile stays behind it, and so does the end.
 *
 * Such replies are their stream's (stream_owe()), which is full meanwhile; what they are made of is charged to the client
 * as long as it is kept, and the memory for what becomes of it is less than that, and bounded for all together by [compression] max_bytes.
 *
 * Invariants: a call is in calls.compressing while it has replies, the first of which is to be compressed;
 * compressing_bytes is the sum of all replies that are. Daemon process, loop thread.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "grpc/call_private.h"

#define PIECES_MAX 64u /* of a message that is compressed; one of more goes as it is */
/* Of one call, before the next one has its turn. */
#define COMPRESS_SLICE ((size_t)32 << 10)

/* A message that waits. */
struct reply {
	struct list node;   /* in call.replies */
	struct deflater *z; /* own; NULL: it goes as it is */
	struct buf out;	    /* what was compressed of it */
	uint32_t total;
	size_t at;   /* this part is being compressed ... */
	size_t done; /* ... and so much of it is */
	size_t n;
	struct part parts[]; /* own; the bytes of those without an owner follow */
};

/* --- replies that wait ------------------------------------------------------------------------ */

/* The parts are not taken over on failure. */
static struct reply *reply_new(const struct part *parts, size_t n, uint32_t total)
{
	size_t copied = 0;
	struct reply *p;
	uint8_t *at;

	for (size_t i = 0; i < n; i++)
		copied += parts[i].release ? 0 : parts[i].n;
	p = malloc(sizeof(*p) + n * sizeof(parts[0]) + copied);
	if (!p)
		return NULL;
	*p = (struct reply){.total = total, .n = n};
	buf_init(&p->out, total);
	memcpy(p->parts, parts, n * sizeof(parts[0]));
	at = (uint8_t *)(p->parts + n);
	for (size_t i = 0; i < n; i++) {
		if (parts[i].release || parts[i].n == 0)
			continue;
		p->parts[i].data = memcpy(at, parts[i].data, parts[i].n);
		at += parts[i].n;
	}
	return p;
}

/* Its parts were released. */
static void reply_free(struct call *c, struct reply *p)
{
	if (p->z)
		call_calls(c)->compressing_bytes -= p->total;
	list_remove(&p->node);
	stream_settle(&c->stream, p->total);
	deflater_free(p->z);
	buf_deinit(&p->out);
	free(p);
}

static struct reply *first_reply(const struct call *c)
{
	struct list *node = list_first(&c->replies);

	return node ? list_entry(node, struct reply, node) : NULL;
}

void call_drop_replies(struct call *c)
{
	struct reply *p;

	while ((p = first_reply(c))) {
		call_release_parts(p->parts, p->n);
		reply_free(c, p);
	}
	list_remove(&c->compress_node);
	c->end_waits = false;
}

/* --- their turn ------------------------------------------------------------------------------- */

/* Compress at most n bytes of it. Returns how many; *ret_over: there is no more to do, or no use in it. */
static size_t compress_some(struct reply *p, size_t n, bool *ret_over)
{
	size_t begun = n;
	int r = 0;

	while (!r && n > 0 && p->at < p->n) {
		const struct part *part = &p->parts[p->at];
		size_t some = part->n - p->done < n ? part->n - p->done : n;

		r = deflater_write(
			p->z, (const uint8_t *)part->data + p->done, some, false, &p->out);
		p->done += some;
		n -= some;
		if (p->done == part->n) {
			p->at++;
			p->done = 0;
		}
	}
	if (!r && p->at == p->n)
		r = deflater_write(p->z, NULL, 0, true, &p->out);
	*ret_over = r || p->at == p->n;
	if (r)
		p->out.len = p->total; /* for want of memory, too: it goes as it is */
	return begun - n;
}

/* Its messages cannot be queued: there is nothing left but a reset. */
static void abandon(struct call *c)
{
	c->broken = true;
	call_drop_replies(c);
	stream_cancel(&c->stream);
}

/* The first one leaves, in one way or the other. */
static int send_first(struct call *c, struct reply *p)
{
	int r = p->z && p->out.len < p->total ? call_queue_compressed(c, p->parts, p->n, &p->out)
					      : call_queue_plain(c, p->parts, p->n, p->total);

	reply_free(c, p);
	return r;
}

/* All that is ready leaves: what need not be compressed, and in the end the end. */
static void send_ready(struct call *c)
{
	struct reply *p;
	int r = 0;

	while (!r && (p = first_reply(c)) && !p->z)
		r = send_first(c, p);
	if (r) {
		abandon(c);
		return;
	}
	if (first_reply(c)) {
		list_push_back(&call_calls(c)->compressing, &c->compress_node);
	} else if (c->end_waits) {
		c->end_waits = false;
		stream_end(&c->stream, true);
		return;
	}
	stream_resume(&c->stream);
}

/* One slice of the first one, which is to be compressed. */
static void go_on(struct call *c)
{
	struct calls *shared = call_calls(c);
	size_t left = COMPRESS_A_TURN - shared->compressed_turn;
	struct reply *p = first_reply(c);
	bool over;

	list_remove(&c->compress_node);
	shared->compressed_turn +=
		compress_some(p, left < COMPRESS_SLICE ? left : COMPRESS_SLICE, &over);
	if (!over)
		list_push_back(&shared->compressing, &c->compress_node);
	else if (send_first(c, p))
		abandon(c);
	else
		send_ready(c);
}

/* There will be no turn, for want of memory: they go as they are. */
static void give_up(struct calls *shared)
{
	struct list *node;

	while ((node = list_first(&shared->compressing))) {
		struct call *c = list_entry(node, struct call, compress_node);

		list_remove(node);
		list_for_each (&c->replies, at) {
			struct reply *p = list_entry(at, struct reply, node);

			if (p->z)
				shared->compressing_bytes -= p->total;
			p->z = deflater_free(p->z);
		}
		send_ready(c);
	}
}

void call_compress_next_turn(struct calls *shared)
{
	struct list *node;

	shared->compressed_turn = 0;
	while (shared->compressed_turn < COMPRESS_A_TURN &&
		(node = list_first(&shared->compressing)))
		go_on(list_entry(node, struct call, compress_node));
	if (!list_empty(&shared->compressing) && calls_want_turn(shared))
		give_up(shared);
}

/* --- queueing --------------------------------------------------------------------------------- */

static bool is_wanted(const struct call *c, size_t n, uint32_t total)
{
	return c->reply_codec != CODEC_IDENTITY && n <= PIECES_MAX &&
	       total >= call_calls(c)->settings->compression_min_bytes &&
	       total <= call_calls(c)->settings->compression_max_bytes;
}

/* Is there time for all of it in this turn? */
static bool fits_turn(struct call *c, uint32_t total)
{
	struct calls *shared = call_calls(c);

	if (shared->compressed_turn + total > COMPRESS_A_TURN || calls_want_turn(shared))
		return false;
	shared->compressed_turn += total;
	return true;
}

static int queue_at_once(struct call *c, const struct part *parts, size_t n, uint32_t total)
{
	struct deflate_piece pieces[PIECES_MAX];
	struct buf out;
	int r;

	for (size_t i = 0; i < n; i++)
		pieces[i] = (struct deflate_piece){parts[i].data, parts[i].n};
	buf_init(&out, total);
	/* What does not get smaller goes as it is; so does what there is no memory for. */
	if (codec_compress(c->reply_codec, pieces, n, &out) || out.len >= total)
		r = call_queue_plain(c, parts, n, total);
	else
		r = call_queue_compressed(c, parts, n, &out);
	buf_deinit(&out);
	return r;
}

/* Is it kept until it is compressed? */
static bool is_large(const struct call *c, uint32_t total)
{
	const struct calls *shared = call_calls(c);

	return total > COMPRESS_A_TURN &&
	       shared->compressing_bytes + total <= shared->settings->compression_max_bytes;
}

/* Takes the parts over. Returns false where it does not, for want of memory. */
static bool keep(struct call *c, const struct part *parts, size_t n, uint32_t total, bool compress)
{
	struct calls *shared = call_calls(c);
	struct deflater *z = NULL;
	struct reply *p;

	if (compress && (calls_want_turn(shared) || deflater_new(&z, c->reply_codec)))
		return false;
	p = reply_new(parts, n, total);
	if (!p) {
		deflater_free(z);
		return false;
	}
	p->z = z;
	if (z)
		shared->compressing_bytes += total;
	stream_owe(&c->stream, total);
	if (list_empty(&c->replies))
		list_push_back(&shared->compressing, &c->compress_node);
	list_init(&p->node);
	list_push_back(&c->replies, &p->node);
	return true;
}

int call_queue_message(struct call *c, const struct part *parts, size_t n, uint32_t total)
{
	bool wanted = is_wanted(c, n, total);
	bool first = list_empty(&c->replies);

	if (wanted && is_large(c, total) && keep(c, parts, n, total, true))
		return 0;
	if (!first) {
		if (keep(c, parts, n, total, false))
			return 0;
		call_release_parts(parts, n);
		return -ENOMEM;
	}
	return wanted && fits_turn(c, total) ? queue_at_once(c, parts, n, total)
					     : call_queue_plain(c, parts, n, total);
}
