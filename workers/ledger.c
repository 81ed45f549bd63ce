/*
 * ledger.c: see ledger.h. Worker process, the loader's thread.
 *
 * Invariant: loaded_bytes is the sum of the shares' bytes.
 */
#include "workers/ledger.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

uint64_t ledger_private_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	uint64_t resident, shared;
	int n;

	if (!file)
		return 0;
	n = fscanf(file, "%*s %" SCNu64 " %" SCNu64, &resident, &shared);
	(void)fclose(file);
	if (n != 2 || shared > resident)
		return 0;
	return (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}

void ledger_init(struct ledger *l, uint64_t (*read)(void))
{
	*l = (struct ledger){.read = read};
	list_init(&l->shares);
}

static void add(struct ledger *l, struct share *s, int64_t bytes)
{
	s->bytes += bytes;
	l->loaded_bytes += bytes;
}

/* What there is more, or less, than when it was measured last; where it cannot be known now, nothing. */
static int64_t measure(struct ledger *l)
{
	int64_t now = (int64_t)l->read();
	int64_t more = now > 0 ? now - l->last_bytes : 0;

	l->last_bytes += more;
	return more;
}

void ledger_look(struct ledger *l)
{
	bool first = l->last_bytes == 0;
	int64_t more = measure(l), n = 0;

	if (first)
		l->first_bytes = l->last_bytes;
	list_for_each (&l->shares, node)
		n += atomic_load_explicit(
			&list_entry(node, struct share, node)->ran, memory_order_relaxed);
	list_for_each (&l->shares, node) {
		struct share *s = list_entry(node, struct share, node);

		if (atomic_exchange_explicit(&s->ran, false, memory_order_relaxed) && n > 0 &&
			!first)
			add(l, s, more / n);
	}
}

void ledger_enter(struct ledger *l, struct share *s)
{
	list_push_back(&l->shares, &s->node);
	add(l, s, measure(l));
}

void ledger_leave(struct ledger *l, struct share *s)
{
	if (!s->node.next)
		return;
	add(l, s, -s->bytes);
	list_remove(&s->node);
}

uint64_t ledger_settle(struct ledger *l)
{
	int64_t stayed;

	measure(l);
	stayed = l->last_bytes - l->first_bytes - l->loaded_bytes;
	return l->last_bytes > 0 && stayed > 0 ? (uint64_t)stayed : 0;
}
