/* resolve_test.c: names, with a resolver that answers when the test says so. */
#include "clients/c/resolve.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/support/failalloc.h"

static sem_t may_answer, asked, freed;
static atomic_int n_open; /* lists that nobody has freed */

/* In place of libc's: "slow" waits for the test, "nowhere" is nowhere, others are there; numbers begin with a digit. */
int getaddrinfo(
	const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **ret)
{
	bool number = host[0] >= '0' && host[0] <= '9';

	cr_assert_eq(hints->ai_socktype, SOCK_STREAM);
	cr_assert(hints->ai_flags & AI_NUMERICSERV);
	cr_assert_str_eq(port, "1");
	if (!number && (hints->ai_flags & AI_NUMERICHOST))
		return EAI_NONAME;
	if (!strcmp(host, "slow")) {
		sem_post(&asked);
		while (sem_wait(&may_answer))
			continue;
	}
	if (!strcmp(host, "nowhere"))
		return EAI_NONAME;
	*ret = calloc(1, sizeof(**ret));
	atomic_fetch_add(&n_open, *ret != NULL);
	return *ret ? 0 : EAI_MEMORY;
}

void freeaddrinfo(struct addrinfo *list)
{
	free(list);
	atomic_fetch_sub(&n_open, 1);
	sem_post(&freed);
}

static void setup(void)
{
	sem_init(&may_answer, 0, 0);
	sem_init(&asked, 0, 0);
	sem_init(&freed, 0, 0);
}

TestSuite(resolve, .init = setup);

static int resolve(const char *host, uint64_t deadline_ns)
{
	struct addrinfo *found = NULL;
	int r = resolve_host(&found, host, "1", deadline_ns);

	cr_assert_eq(!r, found != NULL);
	if (!r)
		freeaddrinfo(found);
	return r;
}

static uint64_t later(void)
{
	return clock_ns() + 60 * NS_PER_S;
}

Test(resolve, names)
{
	cr_expect_eq(resolve("host", later()), 0);
	cr_expect_eq(resolve("host", CLOCK_NO_DEADLINE), 0);
	cr_expect_eq(resolve("nowhere", later()), -EHOSTUNREACH);
	cr_expect_eq(resolve("nowhere", CLOCK_NO_DEADLINE), -EHOSTUNREACH);
	cr_expect_eq(n_open, 0);
}

Test(resolve, a_number_needs_no_time)
{
	cr_expect_eq(resolve("127.0.0.1", 0), 0);
}

/* What the resolver says then is freed by the thread that has heard it. */
Test(resolve, no_longer_than_there_is_time)
{
	cr_expect_eq(resolve("slow", clock_ns() + 10 * NS_PER_MS), -ETIMEDOUT);
	cr_assert_eq(sem_wait(&asked), 0);
	sem_post(&may_answer);
	cr_assert_eq(sem_wait(&freed), 0);
	cr_expect_eq(n_open, 0);
}

static void *answer(void *arg)
{
	(void)arg;
	cr_assert_eq(sem_wait(&asked), 0);
	sem_post(&may_answer);
	return NULL;
}

Test(resolve, a_slow_answer_in_time)
{
	pthread_t thread;

	cr_assert_eq(pthread_create(&thread, NULL, answer, NULL), 0);
	cr_expect_eq(resolve("slow", later()), 0);
	pthread_join(thread, NULL);
	cr_expect_eq(n_open, 0);
}

static int resolve_once(void *arg)
{
	(void)arg;
	return resolve("host", later());
}

Test(resolve, fault_loop)
{
	FAULT_LOOP_KINDS(resolve_once, NULL, FAIL_ALLOCATIONS);
}
