/* Tests of detached.c: another thread does it, and no signal is its. */
#include "base/detached.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/resource.h>

static sem_t done;
static pthread_t who;
static sigset_t blocked;

static void *run(void *data)
{
	who = pthread_self();
	pthread_sigmask(SIG_BLOCK, NULL, &blocked);
	sem_post(data);
	return NULL;
}

Test(detached, another_thread_does_it)
{
	sigset_t ours;

	cr_assert_eq(sem_init(&done, 0, 0), 0);
	cr_assert_eq(detached_start(run, &done), 0);
	while (sem_wait(&done))
		cr_assert_eq(errno, EINTR);
	cr_expect_not(pthread_equal(who, pthread_self()));
	cr_expect(sigismember(&blocked, SIGTERM));
	cr_expect(sigismember(&blocked, SIGCHLD));
	pthread_sigmask(SIG_BLOCK, NULL, &ours);
	cr_expect_not(sigismember(&ours, SIGTERM));
}
