/*
 * oom.c: the count grows before the signal is sent, so who has seen the end of a process finds it grown. Several that end
 * together are counted together: each takes one.
 */
#include "pool/oom.h"

#include "base/clock.h"
#include "base/machine.h"

#define TOGETHER_NS NS_PER_S

void oom_init(struct oom *o, const char *root)
{
	*o = (struct oom){.root = root, .seen = machine_oom_kills(root)};
}

bool oom_claim(struct oom *o, uint64_t now_ns)
{
	uint64_t count = machine_oom_kills(o->root);

	if (now_ns > o->until_ns)
		o->n_left = 0;
	if (count > o->seen) {
		o->n_left += count - o->seen;
		o->until_ns = now_ns + TOGETHER_NS;
	}
	/* A group that is another one counts anew. */
	o->seen = count;
	if (o->n_left == 0)
		return false;
	o->n_left--;
	return true;
}
