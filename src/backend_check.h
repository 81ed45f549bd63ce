/*
 * backend_check.h: what backends say of their settings and of models' parameters, in a worker of its own, which loads no
 * model. Daemon process, before it serves.
 */
#ifndef BACKEND_CHECK_H
#define BACKEND_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

struct config;
struct version_settings;

struct backend_question {
	const char *backend; /* borrow */
	const struct version_settings
		*v; /* borrow: whose parameters; NULL: the settings of the backend */
};

struct backend_check_says {
	/* Of a question, once for each fault; key "": it is no key's. */
	void (*fault)(
		void *data, const struct backend_question *q, const char *key, const char *text);
	/* The backend does not say what it knows. */
	void (*unjudged)(void *data, const struct backend_question *q);
};

/* Is it a backend (a name of n bytes) that modeld-worker has? One with a program of its own knows for itself; one that there
 * is not is nobody to ask. */
bool backend_check_applies(const struct config *c, const char *backend, size_t n);
/*
 * Ask n questions, those of settings ahead of others, in order. A worker that ends over one is a fault of that one. Blocks.
 *
 * -errno, -ENOMEM, -ETIMEDOUT  there is no worker to ask; why (cap bytes)
 */
_must_use_ int backend_check(const struct config *c, const struct backend_question *questions,
	size_t n, const struct backend_check_says *says, void *data, char *why, size_t cap);

#endif
