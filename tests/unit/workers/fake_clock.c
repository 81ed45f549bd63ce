/* fake_clock.c: linked in place of clock_ns() and nanosleep() (workers' UNIT_LDFLAGS). */
#include "fake_clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

uint64_t __real_clock_ns(void);
uint64_t __wrap_clock_ns(void);
int __real_nanosleep(const struct timespec *time, struct timespec *left);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left);

static _Atomic uint64_t stopped_ns; /* 0: it goes */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t let_go;
	bool hold;
} sleeps = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};

void fake_clock_stop(bool stop)
{
	stopped_ns = stop ? __real_clock_ns() : 0;
}

uint64_t __wrap_clock_ns(void)
{
	uint64_t ns = stopped_ns;

	return ns ? ns : __real_clock_ns();
}

void fake_sleep_hold(bool hold)
{
	pthread_mutex_lock(&sleeps.lock);
	sleeps.hold = hold;
	pthread_cond_broadcast(&sleeps.let_go);
	pthread_mutex_unlock(&sleeps.lock);
}

int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
	bool held = false;

	pthread_mutex_lock(&sleeps.lock);
	while (sleeps.hold) {
		held = true;
		pthread_cond_wait(&sleeps.let_go, &sleeps.lock);
	}
	pthread_mutex_unlock(&sleeps.lock);
	return held ? 0 : __real_nanosleep(time, left);
}
