/* peer_log_test.c: lines about peers are limited peer by peer, and together. */
#include "base/peer_log.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define START (1000 * NS_PER_S)

static struct peer_log l;
static char text[PEER_LOG_TEXT_MAX];

static struct peer at(const char *address, uint16_t port)
{
	struct peer p = {.uid = -1, .address.n_socket = sizeof(struct sockaddr_in)};
	struct sockaddr_in *in = (struct sockaddr_in *)&p.address.socket;

	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	cr_assert_eq(inet_pton(AF_INET, address, &in->sin_addr), 1);
	return p;
}

static struct peer at6(const char *address)
{
	struct peer p = {.uid = -1, .address.n_socket = sizeof(struct sockaddr_in6)};
	struct sockaddr_in6 *in = (struct sockaddr_in6 *)&p.address.socket;

	in->sin6_family = AF_INET6;
	cr_assert_eq(inet_pton(AF_INET6, address, &in->sin6_addr), 1);
	return p;
}

static unsigned lines(const struct peer *p, unsigned n, uint64_t now_ns)
{
	unsigned written = 0;

	for (unsigned i = 0; i < n; i++)
		written += peer_log_who(&l, p, now_ns, text) != NULL;
	return written;
}

static void set_up(void)
{
	memset(&l, 0, sizeof(l));
}

TestSuite(peer_log, .init = set_up);

Test(peer_log, says_who_it_is)
{
	struct peer a = at("192.0.2.1", 41234);
	struct peer user = {.uid = 1000, .pid = 4711};
	struct peer unknown = {.uid = -1};

	cr_assert_str_eq(peer_log_who(&l, &a, START, text), "192.0.2.1:41234");
	cr_assert_str_eq(peer_log_who(&l, &user, START, text), "uid:1000,pid:4711");
	cr_assert_str_eq(peer_log_who(&l, &unknown, START, text), "?");
}

Test(peer_log, one_peer_is_limited_whatever_its_port)
{
	struct peer a = at("192.0.2.1", 1);
	struct peer b = at("192.0.2.1", 2);

	cr_assert_eq(lines(&a, 6, START), 6);
	cr_assert_eq(lines(&b, 1000, START), 4);
}

/* One or the other may share a place with it: that depends on the hash. */
Test(peer_log, others_have_their_own)
{
	struct peer a = at("192.0.2.1", 1);
	unsigned heard = 0;

	lines(&a, 1000, START);
	for (int64_t uid = 0; uid < 10; uid++) {
		struct peer other = {.uid = uid};

		heard += lines(&other, 1, START);
	}
	cr_assert_geq(heard, 5);
}

Test(peer_log, what_was_left_out_is_told)
{
	struct peer a = at("192.0.2.1", 9);

	cr_assert_eq(lines(&a, 27, START), 10);
	cr_assert_null(peer_log_who(&l, &a, START + 5 * NS_PER_S, text));
	cr_assert_str_eq(
		peer_log_who(&l, &a, START + 6 * NS_PER_S, text), "192.0.2.1:9 left_out=18");
	cr_assert_str_eq(peer_log_who(&l, &a, START + 12 * NS_PER_S, text), "192.0.2.1:9");
	cr_assert_eq(lines(&a, 100, START + 1000 * NS_PER_S), 10, "it fills again");
}

Test(peer_log, a_network_of_addresses_is_one_peer)
{
	char address[64];
	unsigned written = 0;

	for (unsigned i = 0; i < 100; i++) {
		struct peer p;

		snprintf(address, sizeof(address), "2001:db8:0:1::%x", i + 1);
		p = at6(address);
		written += lines(&p, 1, START);
	}
	cr_assert_eq(written, 10);
}

Test(peer_log, all_together_are_limited)
{
	unsigned written = 0;

	for (int64_t uid = 0; uid < 5000; uid++) {
		struct peer p = {.uid = uid};

		written += lines(&p, 10, START);
	}
	cr_assert_eq(written, 200);
}
