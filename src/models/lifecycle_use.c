/*
 * lifecycle_use.c: callers refer to models, and a model that was loaded for such a reference goes when nobody has referred
 * to it, nor used it, for [models] ttl_s; with eviction = ttl each model does. Daemon process, loop thread.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "dispatch/dispatch.h"
#include "models/lifecycle_private.h"

#define WISH(at) list_entry(at, struct wish, node)

/* --- References --------------------------------------------------------------------------------- */

int lifecycle_refer(struct lifecycle *l, const char *name)
{
	struct wish *w = wishes_need(&l->wishes, name);

	if (!w)
		return -ENOMEM;
	w->n_references++;
	w->n_uses++;
	w->used_ns = clock_ns();
	return 0;
}

uint32_t lifecycle_unrefer(struct lifecycle *l, const char *name)
{
	struct wish *w = (struct wish *)wishes_find(&l->wishes, name);

	w->n_references--;
	w->used_ns = clock_ns();
	if (w->n_references == 0)
		lifecycle_expire_soon(l);
	return w->n_references;
}

uint32_t lifecycle_references(const struct lifecycle *l, const char *name)
{
	const struct wish *w = wishes_find(&l->wishes, name);

	return w ? w->n_references : 0;
}

/* --- What nobody uses any more ------------------------------------------------------------------ */

/* What is in use is looked at again so much later at least. */
#define BUSY_NS NS_PER_S

/* When it goes, or is to be looked at again (*ret_busy); CLOCK_NO_DEADLINE: not by itself. */
static uint64_t ends_ns(const struct lifecycle *l, struct wish *w, uint64_t ttl_ns, bool *ret_busy)
{
	struct eviction_model m;

	*ret_busy = false;
	if ((!w->transient && l->settings->eviction != EVICTION_TTL) || w->n_references > 0 ||
		dispatch_model_versions(l->dispatch, w->name, NULL, 0) == 0)
		return CLOCK_NO_DEADLINE;
	m = lifecycle_look_at(l, w);
	*ret_busy = m.busy;
	return m.busy ? clock_add(clock_ns(), ttl_ns > BUSY_NS ? ttl_ns : BUSY_NS)
		      : clock_add(m.used_ns, ttl_ns);
}

static bool has_ended(const struct lifecycle *l, struct wish *w, uint64_t ttl_ns)
{
	bool busy;
	uint64_t at_ns = ends_ns(l, w, ttl_ns, &busy);

	return !busy && at_ns <= clock_ns();
}

struct lifecycle_expired lifecycle_expire(struct lifecycle *l, uint64_t ttl_ms)
{
	struct lifecycle_expired sum = {0};
	uint64_t ttl_ns = clock_ms_to_ns(ttl_ms);

	list_for_each (&l->wishes.list, node) {
		if (!lifecycle_is_explicit(l) || l->stopped || !has_ended(l, WISH(node), ttl_ns))
			continue;
		sum.bytes += lifecycle_evict(l, WISH(node), NULL);
		sum.n++;
	}
	return sum;
}

static void on_timer(uv_timer_t *timer)
{
	struct lifecycle *l = timer->data;

	(void)lifecycle_expire(l, l->settings->ttl_ms);
	lifecycle_expire_soon(l);
}

void lifecycle_expire_soon(struct lifecycle *l)
{
	uint64_t first_ns = CLOCK_NO_DEADLINE;
	bool busy;

	if (!lifecycle_is_explicit(l) || l->stopped)
		return;
	list_for_each (&l->wishes.list, node) {
		uint64_t ns = ends_ns(l, WISH(node), l->settings->ttl_ms * NS_PER_MS, &busy);

		first_ns = ns < first_ns ? ns : first_ns;
	}
	if (first_ns != CLOCK_NO_DEADLINE)
		uv_timer_start(&l->ttl_timer, on_timer, clock_ms_until(clock_ns(), first_ns), 0);
}
