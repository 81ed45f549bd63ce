/* fake_daemon_says.h: what the daemon says to a worker, and what it expects of it; all is asserted. */
#ifndef TESTS_UNIT_WORKERS_FAKE_DAEMON_SAYS_H
#define TESTS_UNIT_WORKERS_FAKE_DAEMON_SAYS_H

#include "fake_daemon.h"
#include "workers/loop.h"

#define FAKE_REGION (WIRE_REGION_BIT | 3u)

/* A worker that has said Ready; and one that serves one builtin function as model 0. */
void daemon_start(struct fake_daemon *d);
void daemon_serve(struct fake_daemon *d, const char *function);
/* Drain, Bye, and the end. */
void daemon_drain(struct fake_daemon *d);
/* The worker ends by itself with this status. */
void daemon_expect_exit(struct fake_daemon *d, enum worker_exit status);

void daemon_ping(struct fake_daemon *d, uint64_t nonce);
void daemon_expect_pong(struct fake_daemon *d, uint64_t nonce);

void daemon_run_items(struct fake_daemon *d, uint64_t batch, uint32_t model,
	const struct wire_item *items, size_t n);
/* Model 0 on one u8 tensor. */
void daemon_run_bytes(struct fake_daemon *d, uint64_t batch, struct span span);
/* Valid until the next message is received. */
const struct wire_done *daemon_expect_done(struct fake_daemon *d, uint64_t batch);
void daemon_release(struct fake_daemon *d, uint64_t hold);

/* FAKE_REGION. unmap: until the worker has answered */
void daemon_map(struct fake_daemon *d, int fd, uint64_t size);
void daemon_unmap(struct fake_daemon *d);

#endif
