/*
 * entry.h: one registered region: its token, its number on its connection, who is charged. Found
 * while it is registered; charged until dispatch says that its memory is gone.
 */
#ifndef HANDOFF_ENTRY_H
#define HANDOFF_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "handoff/guest.h"
#include "handoff/user.h"
#include "proto/handoff.h"
#include "proto/handoff_message.h"
#include "shm/memfd.h"

#define ENTRY_BUCKETS 1024u

struct dispatch;
struct guest;
struct region;

struct entry {
	struct entry_table *table; /* borrow */
	struct guest *guest;	   /* borrow: whose it is; NULL: not registered any more */
	struct region *region;	   /* ref; NULL: not registered any more */
	struct user *user;	   /* charged for `bytes` */
	struct dispatch *dispatch; /* borrow */
	struct lent *lent;	   /* own; NULL: the memory is the client's own */
	uint64_t bytes;
	bool on_device; /* that is what the user is charged for; known to be there once it was answered: */
	uint64_t seq;	 /* of its Register */
	uint64_t number; /* on its connection */
	uint8_t token[HANDOFF_TOKEN_BYTES];
	struct memfd_identity identity;
	struct list by_token;
	struct list by_number;
	struct held held; /* in guest.entries */
};

struct entry_table {
	struct list by_token[ENTRY_BUCKETS];
	struct list by_number[ENTRY_BUCKETS];
	uint32_t n; /* not gone yet */
};

void entry_table_init(struct entry_table *t);
void entry_table_deinit(struct entry_table *t);

/* What an entry is made of. */
struct entry_options {
	int fd; /* own, also when making it fails */
	uint64_t size;
	bool writable;
	const char *device; /* borrow: of a pool's; NULL: it is on the host, and has: */
	struct memfd_identity identity;
	struct user *user; /* charged already for `size`: refunded when it fails, too */
	struct lent *
		lent; /* own, also when it fails: it was made for the client; NULL: it is the client's own */
};

/* Registered for p, at the end of p's list. -ENOMEM, -errno of getrandom() */
_must_use_ int entry_new(struct entry **ret_entry, struct entry_table *t, struct dispatch *d,
	struct guest *p, const struct entry_options *options);
/* It is found no more; the rest follows when its memory is gone. */
void entry_unregister(struct entry *e);
/* What its client is told; borrows from e. */
struct handoff_registered entry_registered(const struct entry *e);
/* NULL: unknown. */
struct entry *entry_find(struct entry_table *t, const uint8_t token[HANDOFF_TOKEN_BYTES]);
struct entry *entry_find_number(struct entry_table *t, const struct guest *p, uint64_t number);

/* Hex text of 2 * HANDOFF_TOKEN_BYTES digits. -EINVAL */
_must_use_ int entry_parse_token(const char *text, uint8_t ret_token[HANDOFF_TOKEN_BYTES]);

#endif
