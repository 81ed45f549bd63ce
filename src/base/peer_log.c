/* peer_log.c: a bucket for each peer and one for all. Any thread that has the table. */
#include "base/peer_log.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"

#define PEER_BURST	 10u
#define PEER_INTERVAL_NS (6 * NS_PER_S)
#define ALL_BURST	 200u
#define ALL_INTERVAL_NS	 (NS_PER_S / 2)

static uint64_t key_of(const struct peer *p)
{
	const struct sockaddr_storage *a = &p->address.socket;

	if (p->uid >= 0)
		return hash_bytes(&p->uid, sizeof(p->uid));
	if (p->address.n_socket == 0)
		return 0;
	if (a->ss_family == AF_INET)
		return hash_bytes(&((const struct sockaddr_in *)a)->sin_addr, 4);
	return hash_bytes(&((const struct sockaddr_in6 *)a)->sin6_addr, 8);
}

static bool has_one(
	const struct peer_log_bucket *b, uint64_t now_ns, unsigned burst, uint64_t interval_ns)
{
	return b->full_ns <= now_ns + (burst - 1) * interval_ns;
}

static void take(struct peer_log_bucket *b, uint64_t now_ns, uint64_t interval_ns)
{
	b->full_ns = (b->full_ns > now_ns ? b->full_ns : now_ns) + interval_ns;
	b->left_out = 0;
}

const char *peer_log_who(
	struct peer_log *l, const struct peer *p, uint64_t now_ns, char out[PEER_LOG_TEXT_MAX])
{
	struct peer_log_bucket *b = &l->places[key_of(p) % PEER_LOG_PLACES];
	uint64_t left_out;

	if (!has_one(b, now_ns, PEER_BURST, PEER_INTERVAL_NS) ||
		!has_one(&l->all, now_ns, ALL_BURST, ALL_INTERVAL_NS)) {
		b->left_out++;
		return NULL;
	}
	left_out = b->left_out;
	take(b, now_ns, PEER_INTERVAL_NS);
	take(&l->all, now_ns, ALL_INTERVAL_NS);
	peer_format(p, out);
	if (left_out)
		snprintf(out + strlen(out), PEER_LOG_TEXT_MAX - strlen(out), " left_out=%" PRIu64,
			left_out);
	return out;
}
