/*
 * device_check_test.c: GPUs that a worker tries to open; it is this program: started with FAKE_OPENER in its environment it never
 * reaches main().
 */
#include "device_check.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/seqpacket.h"
#include "config.h"
#include "proto/wire.h"
#include "tests/support/failalloc.h"

#define FAKE_OPENER "MODELD_FAKE_OPENER"

static struct config c;
static char *said;
static size_t n_said;

static void setup(void)
{
	cr_assert_eq(config_init(&c), 0);
	c.pool.worker_program = "/proc/self/exe";
	c.pool.slots = 2;
	c.pool.output_segment_bytes = 1 << 20;
	c.pool.start_timeout_ms = 60000;
	cr_assert_eq(setenv(FAKE_OPENER, "1", 1), 0);
}

static void teardown(void)
{
	free(said);
	config_release(&c);
}

TestSuite(device_check, .init = setup, .fini = teardown);

/* --- The worker ----------------------------------------------------------------------------------- */

static void must(bool yes)
{
	if (!yes)
		_exit(99);
}

static void say_hello(void)
{
	const struct wire_message hello = {
		.type = WIRE_HELLO, .hello = {.protocol = WIRE_PROTOCOL, .slots = 2}};
	struct wire_scratch *out;
	const uint8_t *data;
	size_t n;

	must(!wire_scratch_new(&out) && !wire_pack(out, &hello, &data, &n));
	must(!seqpacket_send(3, data, n, NULL, 0, 0));
	pause();
}

__attribute__((constructor)) static void fake_worker(void)
{
	static uint8_t record[WIRE_MESSAGE_MAX];
	const struct wire_message *m;
	struct wire_scratch *in;
	const char *device;
	size_t n, used;

	if (!getenv(FAKE_OPENER))
		return;
	must(!wire_scratch_new(&in));
	must(!seqpacket_recv(3, record, sizeof(record), &n, NULL, 0, NULL, 0));
	must(!wire_unpack(in, record, n, &used, &m) && m->type == WIRE_SETUP);
	device = m->setup.device;
	if (!strcmp(device, "cuda:0") || !strcmp(device, "cuda:GPU-1"))
		say_hello();
	if (!strcmp(device, "cuda:9"))
		pause();
	must(strncmp(device, "cuda:", 5) == 0);
	_exit((int)strtol(device + 5, NULL, 10));
}

/* --- What is said --------------------------------------------------------------------------------- */

static void expect(unsigned n_faults, const char *text, const struct pool_place *places, size_t n)
{
	FILE *out = open_memstream(&said, &n_said);
	unsigned fds = failalloc_open_fds(), found;

	cr_assert_not_null(out);
	c.pool.places = places;
	c.pool.n_places = n;
	found = device_check_all(&c, out);
	cr_assert_eq(fclose(out), 0);
	cr_expect_eq(found, n_faults, "%s", said);
	cr_expect_str_eq(said, text);
	cr_expect_eq(failalloc_open_fds(), fds);
}

Test(device_check, those_that_a_worker_opens_are_well)
{
	static const struct pool_place places[] = {{"cuda:0", 2}, {"cpu:0", 1}, {"cuda:GPU-1", 1}};

	expect(0, "", places, 3);
}

Test(device_check, one_that_there_is_not)
{
	static const struct pool_place places[] = {{"cuda:0", 1}, {"cuda:78", 1}};

	expect(1,
		"modeld: [worker] workers: cuda:78: a worker finds no such GPU here (its words are "
		"above)\n",
		places, 2);
}

Test(device_check, one_that_others_have_is_no_fault)
{
	static const struct pool_place places[] = {{"cuda:77", 1}, {"cuda:76", 1}};

	expect(0,
		"modeld: [worker] workers: cuda:77: it is here, but cannot be used now (a worker's "
		"words are above)\n"
		"modeld: [worker] workers: cuda:76: it is here, but cannot be used now (a worker's "
		"words are above)\n",
		places, 2);
}

Test(device_check, a_worker_that_ends_otherwise)
{
	static const struct pool_place places[] = {{"cuda:3", 1}};

	expect(1,
		"modeld: [worker] workers: cuda:3: its worker ended before it had opened it (exit "
		"status 3)\n",
		places, 1);
}

Test(device_check, one_that_takes_too_long)
{
	static const struct pool_place places[] = {{"cuda:9", 1}};

	c.pool.start_timeout_ms = 1;
	expect(1,
		"modeld: [worker] workers: cuda:9: a worker did not open it within [worker] "
		"start_timeout_ms\n",
		places, 1);
}

Test(device_check, without_a_worker_nothing_is_tried)
{
	static const struct pool_place places[] = {{"cuda:78", 1}};

	c.pool.worker_program = "/nonexistent";
	expect(0, "", places, 1);
}
