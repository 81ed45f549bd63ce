/*
 * transfer.c: direct copies, and staged ones.
 *
 * The inputs of a run lie in one block of device memory, so that what is gathered is one copy, gaps
 * between inputs included. A staging buffer is in use until the event recorded behind its copy has
 * come to pass.
 */
#include "workers/transfer.h"

#include <errno.h>
#include <string.h>

#define STAGES	    2u
#define STAGE_BYTES ((uint64_t)1 << 20)

struct stage {
	char *data;		   /* own; NULL until needed */
	struct device_event *done; /* own: of its last copy */
	char *to;		   /* where what it holds belongs on the host; NULL: nowhere */
	uint64_t bytes;
};

/* A copy that is left for transfer_finish(). */
struct later {
	char *to;
	const char *from;
	uint64_t bytes;
};

struct transfer {
	struct device *device;	      /* borrow */
	struct device_stream *stream; /* own */
	struct device_event *done;    /* own */
	struct stage stages[STAGES];
	size_t next; /* stage */
	uint64_t deadline_ns;
	void **blocks; /* own, and so is what they point to, of the device */
	size_t n_blocks, blocks_cap;
	struct later *later; /* own */
	size_t n_later, later_cap;
	struct device_copy *copies; /* own: of direct inputs, until copy_each() has them all */
	size_t n_copies, copies_cap;
	bool under_way; /* the stream may hold something */
};

int transfer_new(struct transfer **ret_transfer, struct device *d, enum device_priority priority)
{
	_cleanup_(transfer_freep) struct transfer *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->device = d;
	r = device_stream_new_at(d, priority, &t->stream);
	if (!r)
		r = device_event_new(d, &t->done);
	for (size_t i = 0; !r && i < STAGES; i++)
		r = device_event_new(d, &t->stages[i].done);
	if (r)
		return r;
	*ret_transfer = steal_ptr(t);
	return 0;
}

struct transfer *transfer_free(struct transfer *t)
{
	if (!t)
		return NULL;
	device_stream_free(t->stream);
	for (size_t i = 0; i < STAGES; i++) {
		device_event_free(t->stages[i].done);
		device_host_free(t->device, t->stages[i].data);
	}
	device_event_free(t->done);
	free(t->blocks);
	free(t->later);
	free(t->copies);
	free(t);
	return NULL;
}

unsigned transfer_note_memory(struct transfer *t, bool found)
{
	if (!found)
		return atomic_fetch_add(&t->device->n_exhausted, 1) + 1;
	atomic_store(&t->device->n_exhausted, 0);
	return 0;
}

void *transfer_stream(const struct transfer *t)
{
	return device_stream_native(t->stream);
}

const char *transfer_explain(const struct transfer *t, int result, char *text, size_t cap)
{
	return device_explain(t->device, result, text, cap);
}

void transfer_begin(struct transfer *t, uint64_t deadline_ns)
{
	t->deadline_ns = deadline_ns;
	t->under_way = true;
}

/* Room for one more element of `size` bytes. */
static int reserve(void **array, size_t n, size_t *cap, size_t size)
{
	size_t more = *cap ? 2 * *cap : 8;
	void *grown;

	if (n < *cap)
		return 0;
	grown = realloc(*array, more * size);
	if (!grown)
		return -ENOMEM;
	*array = grown;
	*cap = more;
	return 0;
}

int transfer_alloc(struct transfer *t, uint64_t bytes, void **ret_data)
{
	void *array = t->blocks;
	int r = reserve(&array, t->n_blocks, &t->blocks_cap, sizeof(*t->blocks));

	t->blocks = array;
	if (!r)
		r = device_alloc(t->stream, bytes, ret_data);
	if (!r)
		t->blocks[t->n_blocks++] = *ret_data;
	return r;
}

int transfer_alloc_clear(struct transfer *t, uint64_t bytes, void **ret_data)
{
	int r = transfer_alloc(t, bytes, ret_data);

	return r ? r : device_clear(t->stream, *ret_data, bytes);
}

/* --- Staging ------------------------------------------------------------------------------ */

/* What came into the buffer goes where it belongs; afterwards it is free. */
static int empty(struct transfer *t, struct stage *s)
{
	int r = device_event_wait(s->done, t->deadline_ns);

	if (!r && s->to)
		memcpy(s->to, s->data, s->bytes);
	s->to = NULL;
	return r;
}

/* The next buffer, free. */
static int take(struct transfer *t, struct stage **ret_stage)
{
	struct stage *s = &t->stages[t->next];
	void *data;
	int r;

	t->next = (t->next + 1) % STAGES;
	if (!s->data) {
		r = device_host_alloc(t->device, STAGE_BYTES, &data);
		if (r)
			return r;
		s->data = data;
	}
	r = empty(t, s);
	if (!r)
		*ret_stage = s;
	return r;
}

static int send(struct transfer *t, struct stage *s, void *to, uint64_t bytes)
{
	int r = device_copy_in(t->stream, to, s->data, bytes);

	return r ? r : device_event_record(s->done, t->stream);
}

static int stage_in(struct transfer *t, char *to, const char *from, uint64_t bytes)
{
	int r = 0;

	while (!r && bytes > 0) {
		uint64_t n = bytes < STAGE_BYTES ? bytes : STAGE_BYTES;
		struct stage *s;

		r = take(t, &s);
		if (r)
			return r;
		memcpy(s->data, from, n);
		r = send(t, s, to, n);
		to += n;
		from += n;
		bytes -= n;
	}
	return r;
}

static int stage_out(struct transfer *t, const struct later *l)
{
	int r = 0;

	for (uint64_t at = 0, n; !r && at < l->bytes; at += n) {
		struct stage *s;

		n = l->bytes - at < STAGE_BYTES ? l->bytes - at : STAGE_BYTES;
		r = take(t, &s);
		if (!r)
			r = device_copy_out(t->stream, s->data, l->from + at, n);
		if (!r)
			r = device_event_record(s->done, t->stream);
		if (r)
			return r;
		s->to = l->to + at;
		s->bytes = n;
	}
	return r;
}

/* --- Inputs ------------------------------------------------------------------------------- */

static uint64_t align(uint64_t bytes)
{
	return (bytes + TRANSFER_ALIGN - 1) / TRANSFER_ALIGN * TRANSFER_ALIGN;
}

/* All in one copy: they fit one buffer. */
static int gather(struct transfer *t, const struct transfer_input *inputs, char *block,
	uint64_t total, const struct transfer_part *parts, size_t n_parts)
{
	uint64_t at = 0;
	struct stage *s;
	int r = take(t, &s);

	for (size_t i = 0; !r && i < n_parts; i++) {
		const struct transfer_part *p = &parts[i];

		if (i == 0 || p->input != parts[i - 1].input)
			at = (uint64_t)((char *)inputs[p->input].data - block);
		if (p->bytes > 0)
			memcpy(s->data + at, p->data, p->bytes);
		at += p->bytes;
	}
	return r ? r : send(t, s, block, total);
}

/* What is copied directly goes with the others. */
static int copy_part(struct transfer *t, char *to, const struct transfer_part *p)
{
	void *array = t->copies;
	int r;

	if (p->on_device)
		return transfer_within(t, to, p->data, p->bytes);
	if (!p->pinned)
		return stage_in(t, to, p->data, p->bytes);
	if (p->bytes == 0)
		return 0;
	r = reserve(&array, t->n_copies, &t->copies_cap, sizeof(*t->copies));
	t->copies = array;
	if (!r)
		t->copies[t->n_copies++] = (struct device_copy){to, p->data, p->bytes};
	return r;
}

static bool on_host(const struct transfer_part *parts, size_t n)
{
	size_t i = 0;

	while (i < n && !parts[i].on_device)
		i++;
	return i == n;
}

static int copy_each(struct transfer *t, const struct transfer_input *inputs,
	const struct transfer_part *parts, size_t n_parts)
{
	char *to = NULL;
	int r = 0;

	t->n_copies = 0;
	for (size_t i = 0; !r && i < n_parts; i++) {
		const struct transfer_part *p = &parts[i];

		if (i == 0 || p->input != parts[i - 1].input)
			to = inputs[p->input].data;
		r = copy_part(t, to, p);
		to += p->bytes;
	}
	return r ? r : device_copy_all_in(t->stream, t->copies, t->n_copies);
}

int transfer_in(struct transfer *t, struct transfer_input *inputs, size_t n_inputs,
	const struct transfer_part *parts, size_t n_parts)
{
	uint64_t total = 0;
	void *block = NULL;
	int r;

	for (size_t i = 0; i < n_inputs; i++)
		total += align(inputs[i].bytes);
	r = transfer_alloc(t, total, &block);
	if (r)
		return r;
	total = 0;
	for (size_t i = 0; i < n_inputs; i++) {
		inputs[i].data = (char *)block + total;
		total += align(inputs[i].bytes);
	}
	if (total > 0 && total <= TRANSFER_SMALL && (n_parts > 1 || !parts[0].pinned) &&
		on_host(parts, n_parts))
		return gather(t, inputs, block, total, parts, n_parts);
	return copy_each(t, inputs, parts, n_parts);
}

int transfer_put(struct transfer *t, void *to, const void *from, uint64_t bytes, bool pinned)
{
	return pinned ? device_copy_in(t->stream, to, from, bytes) : stage_in(t, to, from, bytes);
}

int transfer_within(struct transfer *t, void *to, const void *from, uint64_t bytes)
{
	return device_copy_within(t->stream, to, from, bytes);
}

/* --- Outputs ------------------------------------------------------------------------------ */

int transfer_out(struct transfer *t, void *to, const void *from, uint64_t bytes, bool pinned)
{
	void *array = t->later;
	int r;

	if (pinned || bytes == 0)
		return device_copy_out(t->stream, to, from, bytes);
	r = reserve(&array, t->n_later, &t->later_cap, sizeof(*t->later));
	t->later = array;
	if (!r)
		t->later[t->n_later++] = (struct later){to, from, bytes};
	return r;
}

static int wait_for_all(struct transfer *t)
{
	int r = device_event_record(t->done, t->stream);

	if (!r)
		r = device_event_wait(t->done, t->deadline_ns);
	for (size_t i = 0; !r && i < STAGES; i++) {
		/* The older one first, as it was filled first. */
		struct stage *s = &t->stages[(t->next + i) % STAGES];

		if (s->to)
			r = empty(t, s);
	}
	if (!r)
		t->under_way = false;
	return r;
}

int transfer_finish(struct transfer *t)
{
	int r = 0;

	for (size_t i = 0; !r && i < t->n_later; i++)
		r = stage_out(t, &t->later[i]);
	t->n_later = 0;
	return r ? r : wait_for_all(t);
}

int transfer_end(struct transfer *t)
{
	int r = 0;

	t->n_later = 0;
	/* After a failure nobody wants what was to come, but it must not write to what others get. */
	for (size_t i = 0; i < STAGES; i++)
		t->stages[i].to = NULL;
	if (t->under_way)
		r = wait_for_all(t);
	for (size_t i = 0; !device_fatal(r) && i < t->n_blocks; i++)
		r = device_release(t->stream, t->blocks[i]);
	t->n_blocks = 0;
	return r;
}
