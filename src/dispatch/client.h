/*
 * client.h: whom resources are charged to: one a connection. What it may have of them is a fair share (quota.h), so that one
 * greedy client cannot take what others need.
 * References: the connection holds one, each request and each lease one, and each answer that keeps output memory.
 */
#ifndef DISPATCH_CLIENT_H
#define DISPATCH_CLIENT_H

#include <stdint.h>

#include "base/cleanup.h"

struct client;
struct tally;

/* The tally (dispatch_tally()) is borrowed for the client's life. -ENOMEM */
_must_use_ int client_new(struct client **ret_client, struct tally *t);
struct client *client_ref(struct client *c);
/* Accepts NULL; returns NULL. The last reference asserts that every charge is back. */
struct client *client_unref(struct client *c);
DEFINE_CLEANUP(struct client *, client_unref)

/* Input arena bytes charged now. */
uint64_t client_bytes(const struct client *c);
/* Bytes of workers' output memory that answers to it keep. */
uint64_t client_output_bytes(const struct client *c);
/* Requests queued or in flight now. */
uint32_t client_requests(const struct client *c);

#endif
