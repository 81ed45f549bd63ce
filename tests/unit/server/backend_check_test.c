/*
 * backend_check_test.c: questions to a worker, which is this program: started with FAKE_JUDGE in its environment it never
 * reaches main().
 */
#include "backend_check.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/seqpacket.h"
#include "config.h"
#include "dispatch/version_settings.h"
#include "proto/wire.h"
#include "tests/support/failalloc.h"

#define FAKE_JUDGE "MODELD_FAKE_JUDGE"

static struct config c;
static const struct pool_place place = {"cuda:3", 1};
static char said[4096];

static void setup(void)
{
	cr_assert_eq(config_init(&c), 0);
	c.pool.places = &place;
	c.pool.n_places = 1;
	c.pool.worker_program = "/proc/self/exe";
	c.pool.slots = 2;
	c.pool.output_segment_bytes = 1 << 20;
	c.pool.start_timeout_ms = 1;
	c.pool.load_timeout_ms = 60000;
	cr_assert_eq(setenv(FAKE_JUDGE, "1", 1), 0);
}

static void teardown(void)
{
	config_release(&c);
}

TestSuite(backend_check, .init = setup, .fini = teardown);

/* --- The worker ----------------------------------------------------------------------------------- */

static void must(bool yes)
{
	if (!yes)
		_exit(99);
}

struct fake {
	struct wire_scratch *in, *out;
	uint8_t record[WIRE_MESSAGE_MAX];
};

static void fake_say(struct fake *f, const struct wire_message *m)
{
	const uint8_t *data;
	size_t n;

	must(!wire_pack(f->out, m, &data, &n));
	must(!seqpacket_send(3, data, n, NULL, 0, 0));
}

static const struct wire_message *fake_hear(struct fake *f, enum wire_type type)
{
	const struct wire_message *m;
	size_t n, used;

	must(!seqpacket_recv(3, f->record, sizeof(f->record), &n, NULL, 0, NULL, 0));
	must(!wire_unpack(f->in, f->record, n, &used, &m) && m->type == type);
	return m;
}

/* Its backend says what it is to do. */
static void fake_judge(struct fake *f, const struct wire_load *load)
{
	const char *user = getenv("MODELD_SANDBOX_USER");
	char text[128];
	const struct wire_fault faults[] = {{"key", text}, {"", "and more"}};
	struct wire_message m = {.type = WIRE_CHECKED};

	if (!strcmp(load->backend, "crash"))
		_exit(3);
	if (!strcmp(load->backend, "hang"))
		pause();
	if (!strcmp(load->backend, "who"))
		snprintf(text, sizeof(text), "%s", user ? user : "as the daemon");
	else
		snprintf(text, sizeof(text), "%s of '%s', %zu", load->backend, load->name,
			load->n_parameters);
	m.checked.faults = faults;
	m.checked.n_faults = strcmp(load->backend, "good") ? 2 : 0;
	m.checked.unjudged = !strcmp(load->backend, "mute");
	if (m.checked.unjudged)
		m.checked.n_faults = 0;
	fake_say(f, &m);
}

__attribute__((constructor)) static void fake_worker(void)
{
	static struct fake f;
	const struct wire_message *m;

	if (!getenv(FAKE_JUDGE))
		return;
	must(!wire_scratch_new(&f.in) && !wire_scratch_new(&f.out));
	m = fake_hear(&f, WIRE_SETUP);
	must(!strcmp(m->setup.device, "cpu:0"));
	fake_say(&f, &(struct wire_message){
			     .type = WIRE_HELLO, .hello = {.protocol = WIRE_PROTOCOL, .slots = 2}});
	for (;;)
		fake_judge(&f, &fake_hear(&f, WIRE_CHECK)->load);
}

/* --- What is asked --------------------------------------------------------------------------------- */

static void take_fault(
	void *data, const struct backend_question *q, const char *key, const char *text)
{
	size_t n = strlen(said);

	cr_assert_eq(data, said);
	snprintf(said + n, sizeof(said) - n, "%s/%s: %s: %s|", q->backend, q->v ? q->v->name : "",
		key, text);
}

static void take_unjudged(void *data, const struct backend_question *q)
{
	take_fault(data, q, "", "?");
}

static int ask(const char *const *backends, const struct version_settings *v, char why[128])
{
	static const struct backend_check_says says = {
		.fault = take_fault, .unjudged = take_unjudged};
	struct backend_question questions[8];
	size_t n = 0;

	said[0] = 0;
	for (; backends[n]; n++)
		questions[n] = (struct backend_question){.backend = backends[n], .v = v};
	return backend_check(&c, questions, n, &says, said, why, 128);
}

Test(backend_check, faults_are_told_in_order)
{
	static const struct wire_pair parameters[] = {{"a", "1"}, {"b", "2"}};
	static const struct version_settings v = {.name = "m",
		.version = "1",
		.path = "/models/m/1",
		.backend = "bad",
		.parameters = parameters,
		.n_parameters = 2};
	static const char *const backends[] = {"bad", "good", "mute", "bad", NULL};
	unsigned fds = failalloc_open_fds();
	char why[128] = "";

	cr_assert_eq(ask(backends, NULL, why), 0, "%s", why);
	cr_expect_str_eq(said, "bad/: key: bad of '', 0|bad/: : and more|mute/: : ?|"
			       "bad/: key: bad of '', 0|bad/: : and more|");
	cr_assert_eq(ask(backends, &v, why), 0, "%s", why);
	cr_expect(!strncmp(said, "bad/m: key: bad of 'm', 2|", 26), "%s", said);
	cr_assert_eq(ask(&backends[4], NULL, why), 0, "nothing is asked");
	cr_expect_str_eq(said, "");
	cr_expect_eq(failalloc_open_fds(), fds);
}

Test(backend_check, a_worker_that_ends_over_it_is_a_fault)
{
	static const char *const backends[] = {"crash", "bad", "crash", NULL};
	char why[128] = "";

	cr_assert_eq(ask(backends, NULL, why), 0, "%s", why);
	cr_expect_str_eq(said, "crash/: : its worker ended over it (exit status 3)|"
			       "bad/: key: bad of '', 0|bad/: : and more|"
			       "crash/: : its worker ended over it (exit status 3)|");
}

Test(backend_check, it_is_the_user_that_workers_are)
{
	static const char *const backends[] = {"who", NULL};
	char why[128] = "";

	c.pool.users = (struct pool_users){1000, 2000, 5};
	cr_assert_eq(ask(backends, NULL, why), 0, "%s", why);
	/* Nobody but root can start somebody else. */
	cr_expect_str_eq(said, geteuid() == 0 ? "who/: key: 1000:2000|who/: : and more|"
					      : "who/: key: as the daemon|who/: : and more|");
}

Test(backend_check, one_that_takes_too_long)
{
	static const char *const backends[] = {"hang", NULL};
	char why[128] = "";

	/* A worker that was slow to say hello is one that there is not. */
	c.pool.load_timeout_ms = 200;
	if (!ask(backends, NULL, why))
		cr_expect_str_eq(said,
			"hang/: : its backend did not judge it within [worker] load_timeout_ms|");
	else
		cr_expect(strstr(why, "load_timeout_ms"), "%s", why);
}

Test(backend_check, no_worker)
{
	static const char *const backends[] = {"good", NULL};
	char why[128] = "";

	c.pool.worker_program = "/bin/false";
	cr_expect_eq(ask(backends, NULL, why), -ENOEXEC);
	cr_expect(strstr(why, "its worker ended over it (exit status 1)"), "%s", why);
	c.pool.worker_program = "/no/where";
	cr_expect_eq(ask(backends, NULL, why), -ENOENT);
	cr_expect(strstr(why, "cannot be tried"), "%s", why);
}

Test(backend_check, who_is_asked)
{
	static const char *const argv[] = {"/bin/own", NULL};
	static const struct pool_program program = {.backend = "own", .argv = argv};

	c.pool.programs = &program;
	c.pool.n_programs = 1;
	cr_expect(backend_check_applies(&c, "builtin.x", 7));
	cr_expect_not(backend_check_applies(&c, "own.x", 3));
	cr_expect_not(backend_check_applies(&c, "nowhere.x", 7));
	c.pool.n_programs = 0;
}

static int ask_good(void *arg)
{
	static const char *const backends[] = {"good", "bad", NULL};
	char why[128] = "";

	(void)arg;
	return ask(backends, NULL, why);
}

Test(backend_check, no_memory)
{
	FAULT_LOOP_KINDS(ask_good, NULL, FAIL_ALLOCATIONS);
}
