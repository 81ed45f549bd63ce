/*
 * user.h: who is charged for regions and connections: one for each uid that has any. Fair share
 * among the users that are there, as dispatch/quota.h has it; who is alone is not limited to half.
 */
#ifndef HANDOFF_USER_H
#define HANDOFF_USER_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/list.h"

struct handoff_settings;

struct user {
	struct users *users; /* borrow */
	struct list node;
	uint32_t refs; /* connections and charges hold one each */
	uint32_t uid;
	uint32_t connections;
	uint32_t regions;
	uint32_t unread; /* descriptors on their way to its clients */
	uint64_t bytes;
	uint64_t device_bytes; /* on GPUs; not among them */
};

struct users {
	const struct handoff_settings *settings; /* borrow */
	struct list all;			 /* struct user.node */
	uint32_t n_holders;			 /* of bytes */
	uint32_t n_owners;			 /* of regions, or of what is unread */
	uint32_t n_connected;
	uint32_t connections;
	uint32_t regions;
	uint32_t unread;
	uint64_t bytes;
	uint64_t device_bytes;
};

void users_init(struct users *s, const struct handoff_settings *settings);
/* Asserts that everything is refunded. */
void users_deinit(struct users *s);

enum {
	USER_E_LIMIT = 1, /* the text says which */
};

/*
 * One connection more of uid; *ret_user is referenced for it.
 * USER_E_LIMIT, -ENOMEM
 */
_must_use_ int user_connect(
	struct user **ret_user, struct users *s, uint32_t uid, char *text, size_t cap);
void user_disconnect(struct user *u);
/* One connection more of u, which has some already, whatever the limit: for what is left of one. */
void user_hold(struct user *u);
/* One region of so many bytes more. USER_E_LIMIT */
_must_use_ int user_charge(struct user *u, uint64_t bytes, char *text, size_t cap);
void user_refund(struct user *u, uint64_t bytes);
/* The same on a GPU. */
_must_use_ int user_charge_device(struct user *u, uint64_t bytes, char *text, size_t cap);
void user_refund_device(struct user *u, uint64_t bytes);
/* A descriptor on its way to a client of u's: it counts where regions are counted, whatever the limits. */
void user_charge_unread(struct user *u);
void user_refund_unread(struct user *u);

#endif
