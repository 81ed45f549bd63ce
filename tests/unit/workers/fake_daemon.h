/*
 * fake_daemon.h: the daemon's end of a worker's channel. The worker's loop runs in a thread of the
 * test. Everything here asserts that it works.
 */
#ifndef TESTS_UNIT_WORKERS_FAKE_DAEMON_H
#define TESTS_UNIT_WORKERS_FAKE_DAEMON_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/wire.h"
#include "shm/segment.h"
#include "shm/view.h"

#define FAKE_INPUT_ARENA 1u
#define FAKE_ARENA_BYTES (1024u * 1024u)

struct fake_daemon {
	int fd; /* own; -1: hung up */
	pthread_t thread;
	int status;    /* of the loop, once joined */
	char name[64]; /* what the loop said its name was */
	struct segment *input;
	struct view *output; /* after hello */
	struct wire_scratch *in;
	struct wire_scratch *out;
	uint8_t *record;
	size_t n_record;
	size_t at;	    /* of the next message in it */
	uint32_t n_records; /* received */
	int worker_fd;	    /* what the loop starts with */
};

/* The daemon's end alone: worker_fd is for the caller to give to a worker. */
void fake_daemon_open(struct fake_daemon *d);
/* The end of one that was only opened. */
void fake_daemon_close(struct fake_daemon *d);
/* Open and start the loop; nothing is sent. */
void fake_daemon_start(struct fake_daemon *d);
/* A Setup message as the fake wants it, to be changed before it is sent. */
struct wire_setup fake_daemon_setup(void);
/* Send setup and the input segment, take hello, the first output segment and ready. */
void fake_daemon_greet(struct fake_daemon *d, const struct wire_setup *setup);
void fake_daemon_map_input(struct fake_daemon *d);
/* The next message, which must be a Map: the caller's to free. */
struct view *fake_daemon_receive_map(struct fake_daemon *d);
/* Load a builtin function under a number; the answer, which must say ok. */
void fake_daemon_load(struct fake_daemon *d, uint32_t number, const char *function);

void fake_daemon_send(struct fake_daemon *d, const struct wire_message *m);
void fake_daemon_send_fds(
	struct fake_daemon *d, const struct wire_message *m, const int *fds, size_t n_fds);
/* Several in one record. */
void fake_daemon_send_all(struct fake_daemon *d, const struct wire_message *m, size_t n);
void fake_daemon_send_bytes(struct fake_daemon *d, const void *data, size_t n);
/* The next message, which must be of that type; valid until the next one. */
const struct wire_message *fake_daemon_receive(struct fake_daemon *d, enum wire_type type);
/* The same, of whatever type. */
const struct wire_message *fake_daemon_next(struct fake_daemon *d);
/* Nothing more comes: the worker has closed its end. */
void fake_daemon_expect_end(struct fake_daemon *d);

/* A copy of data in the input arena. */
struct span fake_daemon_put(struct fake_daemon *d, const void *data, uint64_t n);
/* Hang up if that has not happened, wait for the loop to end, free everything. Returns the loop's
 * exit status. */
int fake_daemon_end(struct fake_daemon *d);

/* A client's memory: a sealed memfd of `size` bytes, mapped here. */
int fake_region(uint64_t size, void **ret_data);

#endif
