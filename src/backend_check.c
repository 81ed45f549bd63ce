/*
 * backend_check.c: one question after the other to a worker, and to another one where that ended over it. Daemon process,
 * before it serves.
 */
#include "backend_check.h"

#include <errno.h>
#include <string.h>

#include "attempt.h"
#include "base/list.h"
#include "config.h"
#include "dispatch/version_settings.h"
#include "pool/orders.h"
#include "pool/pool.h"

struct judging {
	struct attempt attempt;
	const struct backend_question *questions; /* borrow */
	size_t n, at;
	bool said_hello;		       /* the worker of now */
	const struct backend_check_says *says; /* borrow */
	void *data;			       /* borrow */
};

bool backend_check_applies(const struct config *c, const char *backend, size_t n)
{
	for (size_t i = 0; i < c->pool.n_programs; i++) {
		const char *name = c->pool.programs[i].backend;

		if (!strncmp(name, backend, n) && !name[n])
			return false;
	}
	return config_has_backend(c, backend, n);
}

/* 1: there are no more. */
static int ask(struct judging *j)
{
	const struct backend_question *q = &j->questions[j->at];
	struct wire_message m = {.type = WIRE_CHECK};
	struct pool_model_settings s;

	if (j->at == j->n)
		return 1;
	if (q->v) {
		s = version_settings_for_pool(q->v);
		orders_load(&m.load, &s);
	}
	m.load.backend = q->backend;
	return attempt_tell(&j->attempt, &m);
}

static int take_checked(struct judging *j, const struct wire_checked *c)
{
	const struct backend_question *q = &j->questions[j->at++];

	for (size_t i = 0; i < c->n_faults; i++)
		j->says->fault(j->data, q, c->faults[i].key, c->faults[i].text);
	if (c->unjudged)
		j->says->unjudged(j->data, q);
	return ask(j);
}

static int take(struct attempt *a, const struct wire_message *m)
{
	struct judging *j = container_of(a, struct judging, attempt);

	if (m->type == WIRE_HELLO) {
		j->said_hello = true;
		return ask(j);
	}
	return m->type == WIRE_CHECKED && j->at < j->n ? take_checked(j, &m->checked) : 0;
}

/* A worker answers what it can. r: of attempt_converse() */
static int conclude(struct judging *j, int r, int status)
{
	struct attempt *a = &j->attempt;
	const struct backend_question *q = &j->questions[j->at];

	if (r > 0)
		return 0;
	if (!r)
		r = attempt_ended(a, "worker", "ended over it", status);
	if (!j->said_hello || (r != -ENOEXEC && r != -ETIMEDOUT))
		return r;
	if (r == -ETIMEDOUT)
		j->says->fault(j->data, q, "",
			"its backend did not judge it within [worker] load_timeout_ms");
	else
		j->says->fault(j->data, q, "", a->why);
	j->at++;
	return 0;
}

static int converse(struct judging *j, const struct config *c, char *why, size_t cap)
{
	int status = 0;
	int r;

	attempt_init(&j->attempt, c, NULL, why, cap);
	j->attempt.take = take;
	j->said_hello = false;
	if (c->pool.load_timeout_ms > 0)
		attempt_limit(&j->attempt, c->pool.start_timeout_ms + c->pool.load_timeout_ms);
	r = attempt_converse(&j->attempt, &status);
	return attempt_end(&j->attempt, conclude(j, r, status));
}

int backend_check(const struct config *c, const struct backend_question *questions, size_t n,
	const struct backend_check_says *says, void *data, char *why, size_t cap)
{
	struct judging j = {.questions = questions, .n = n, .says = says, .data = data};
	int r = 0;

	while (!r && j.at < n)
		r = converse(&j, c, why, cap);
	return r;
}
