/*
 * breaker.c: counts the crashes of one model on one device. Knows no workers: who tries is but an
 * address to compare. Daemon process, loop thread.
 */
#include "pool/breaker.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

int breaker_init(struct breaker *b, uint32_t limit, uint64_t window_ns, uint64_t cooldown_ns)
{
	assert(limit > 0);
	*b = (struct breaker){.limit = limit, .window_ns = window_ns, .cooldown_ns = cooldown_ns};
	b->times = calloc(limit, sizeof(*b->times));
	return b->times ? 0 : -ENOMEM;
}

void breaker_deinit(struct breaker *b)
{
	free(b->times);
	free(b->why);
	b->times = NULL;
	b->why = NULL;
}

bool breaker_admits(const struct breaker *b, const void *who)
{
	if (b->state == BREAKER_PROBATION)
		return !b->who || b->who == who;
	return b->state == BREAKER_CLOSED;
}

bool breaker_wants_trial(const struct breaker *b)
{
	return b->state == BREAKER_TRIAL && !b->who;
}

void breaker_try(struct breaker *b, const void *who)
{
	assert(breaker_admits(b, who) || breaker_wants_trial(b));
	if (b->state != BREAKER_CLOSED)
		b->who = who;
}

void breaker_leave(struct breaker *b, const void *who)
{
	if (b->who == who)
		b->who = NULL;
}

static void set_state(struct breaker *b, enum breaker_state state)
{
	b->state = state;
	b->who = NULL;
}

static void forget(struct breaker *b)
{
	b->n_times = 0;
	b->next = 0;
	b->crashes = 0;
	b->good = 0;
	b->runs_badly = false;
	free(b->why);
	b->why = NULL;
}

/* Where there is no memory for it nothing is known, which is better than what was so before. */
static void keep(struct breaker *b, const char *why)
{
	free(b->why);
	b->why = *why ? strndup(why, BREAKER_WHY_MAX) : NULL;
}

/* Remember a crash. Returns whether there were `limit` within the window. */
static bool record(struct breaker *b, uint64_t now_ns)
{
	uint64_t oldest;

	if (b->crashes > 0 && now_ns - b->last_ns > b->window_ns)
		b->crashes = 0;
	if (b->crashes++ == 0)
		b->first_ns = now_ns;
	b->last_ns = now_ns;
	b->times[b->next] = now_ns;
	b->next = (b->next + 1) % b->limit;
	if (b->n_times < b->limit)
		b->n_times++;
	oldest = b->times[b->n_times < b->limit ? 0 : b->next];
	return b->n_times == b->limit && now_ns - oldest <= b->window_ns;
}

bool breaker_crash(struct breaker *b, const void *who, const char *why, uint64_t now_ns)
{
	bool many = record(b, now_ns);

	keep(b, why);
	b->good = 0;
	if (b->state == BREAKER_OPEN)
		return false; /* a worker that still held it; the cool-down is not extended */
	/* While it is tried, others may still go that loaded it before. */
	if (!many && (b->state == BREAKER_CLOSED || (b->state == BREAKER_TRIAL && b->who != who)))
		return false;
	b->runs_badly |= b->state != BREAKER_TRIAL;
	set_state(b, BREAKER_OPEN);
	b->until_ns = clock_add(now_ns, b->cooldown_ns);
	return true;
}

bool breaker_suspect(struct breaker *b, const char *why)
{
	if (b->state != BREAKER_CLOSED)
		return false;
	keep(b, why);
	set_state(b, BREAKER_TRIAL);
	return true;
}

/* Its crashes are not forgotten: should it load well here only, they add up. */
bool breaker_loaded(struct breaker *b)
{
	if (b->state != BREAKER_TRIAL)
		return false;
	set_state(b, b->runs_badly ? BREAKER_PROBATION : BREAKER_CLOSED);
	return true;
}

bool breaker_success(struct breaker *b)
{
	if (b->state == BREAKER_CLOSED && b->crashes > 0 && ++b->good >= BREAKER_GOOD_BATCHES)
		forget(b);
	if (b->state != BREAKER_PROBATION)
		return false;
	set_state(b, BREAKER_CLOSED);
	forget(b);
	return true;
}

bool breaker_tick(struct breaker *b, uint64_t now_ns)
{
	if (b->state != BREAKER_OPEN || now_ns < b->until_ns)
		return false;
	set_state(b, BREAKER_TRIAL);
	return true;
}

uint64_t breaker_deadline(const struct breaker *b)
{
	return b->state == BREAKER_OPEN ? b->until_ns : CLOCK_NO_DEADLINE;
}

static uint64_t seconds_up(uint64_t ns)
{
	return ns / NS_PER_S + (ns % NS_PER_S > 0);
}

const char *breaker_why(const struct breaker *b)
{
	return b->why ? b->why : "";
}

const char *breaker_format(
	const struct breaker *b, const char *device, uint64_t now_ns, char *out, size_t cap)
{
	uint64_t left = b->until_ns > now_ns ? b->until_ns - now_ns : 0;
	uint64_t span = b->last_ns - b->first_ns;

	snprintf(out, cap,
		"circuit breaker open on %s: %" PRIu32 " crash%s in %" PRIu64
		" s%s%s; next try in %" PRIu64 " s",
		device, b->crashes, b->crashes == 1 ? "" : "es", seconds_up(span),
		b->why ? ", the last one: " : "", breaker_why(b), seconds_up(left));
	return out;
}
