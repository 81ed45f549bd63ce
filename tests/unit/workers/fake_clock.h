/*
 * fake_clock.h: time as the code under test has it: the host's, until the test says otherwise. For what
 * depends on how long something took, which on a busy host nobody knows. Any thread.
 */
#ifndef TESTS_UNIT_WORKERS_FAKE_CLOCK_H
#define TESTS_UNIT_WORKERS_FAKE_CLOCK_H

#include <stdbool.h>

/* clock_ns() says the same from now on: nothing takes any time; or it goes on. */
void fake_clock_stop(bool stop);
/* nanosleep() lasts until it is let go, whatever time it was asked for; or it is as usual, also where it
 * lasts already. */
void fake_sleep_hold(bool hold);

#endif
