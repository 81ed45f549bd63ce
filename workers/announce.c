/*
 * announce.c: memory that others are told of. The device, of all that is mapped here; the daemon, of
 * the output memory: a new segment before the first answer that names it, one that is given up when it
 * is. Worker process, any thread: l->memory is held until the daemon was told, so that no other thread
 * answers with a segment that is only about to be announced.
 */
#include <inttypes.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "workers/loop_private.h"

static int pin(struct loop *l, void *data, uint64_t bytes, enum device_access access)
{
	int r = pinned_add(l->pinned, data, bytes, access);

	return r ? loop_stop(l, WORKER_EXIT_DEVICE_LOST, "the device refused memory") : 0;
}

int loop_pin(struct loop *l, const struct view *v, enum device_access access)
{
	const struct span all = {.arena = view_id(v), .length = view_size(v)};

	return pin(l, (void *)view_data(v, &all), all.length, access);
}

static int say_map(struct loop *l, const struct segment *s)
{
	const struct wire_message m = {
		.type = WIRE_MAP, .map = {.id = segment_id(s), .size = segment_size(s)}};
	int fd = segment_fd(s);

	log_debug("output segment", "worker=%s segment=%#" PRIx64 " bytes=%" PRIu64, loop_name(l),
		segment_id(s), segment_size(s));
	return answers_send(l->answers, &m, &fd, 1);
}

static int announce(struct loop *l)
{
	struct segment *s;
	uint64_t id;
	int r = 0;

	while (!r && (s = outputs_next_new(l->outputs))) {
		r = pin(l, segment_base(s), segment_size(s), DEVICE_READ_WRITE);
		if (!r)
			r = say_map(l, s);
	}
	while (!r && (id = outputs_next_idle(l->outputs)))
		r = answers_add(l->answers,
			&(struct wire_message){.type = WIRE_UNMAP, .unmap = {.id = id}}, false);
	return r;
}

int loop_announce(struct loop *l)
{
	int r;

	pthread_mutex_lock(&l->memory);
	r = announce(l);
	pthread_mutex_unlock(&l->memory);
	return r;
}

int loop_answer(struct loop *l, struct executor *e, struct wire_message *done)
{
	int r;

	pthread_mutex_lock(&l->memory);
	executor_number(e, &done->done);
	r = announce(l);
	if (!r)
		r = answers_add(l->answers, done, false);
	pthread_mutex_unlock(&l->memory);
	return r;
}

int loop_say_partial(void *data, struct wire_partial *partial, struct hold *hold)
{
	struct wire_message m = {.type = WIRE_PARTIAL};
	struct loop *l = data;
	int r;

	pthread_mutex_lock(&l->memory);
	if (hold)
		partial->hold = outputs_number(l->outputs, hold);
	m.partial = *partial;
	r = announce(l);
	if (!r)
		r = answers_add(l->answers, &m, true);
	pthread_mutex_unlock(&l->memory);
	return r;
}

int loop_flush(void *data)
{
	struct loop *l = data;

	return answers_flush(l->answers);
}

int loop_give_up_idle(struct loop *l)
{
	int r;

	pthread_mutex_lock(&l->memory);
	outputs_tick(l->outputs, clock_ns());
	r = announce(l);
	pthread_mutex_unlock(&l->memory);
	return r;
}

int loop_unmapped(struct loop *l, const struct wire_unmap *unmapped)
{
	struct segment *s;

	pthread_mutex_lock(&l->memory);
	s = outputs_remove(l->outputs, unmapped->id);
	if (s)
		pinned_remove(l->pinned, segment_base(s));
	pthread_mutex_unlock(&l->memory);
	if (!s)
		return loop_stop(l, WORKER_EXIT_INTERNAL, "unmapped: a segment that is in use");
	segment_free(s);
	return 0;
}
