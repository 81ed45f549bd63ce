/* wire_test.c: the scratch memory and the names of messages. */
#include "proto/wire.h"

#include <criterion/criterion.h>
#include <string.h>

#include "fake_messages.h"
#include "proto/wire_private.h"
#include "tests/support/failalloc.h"

Test(wire, type_names)
{
	static const char *const names[] = {"setup", "load", "unload", "run", "release", "ping",
		"drain", "hello", "loaded", "ready", "done", "pong", "bye", "map", "unmap",
		"unmapped", "unloaded", "partial", "cancel", "check", "checked", "import",
		"imported"};

	for (unsigned int t = FIRST_TYPE; t <= LAST_TYPE; t++)
		cr_assert_str_eq(wire_type_name((enum wire_type)t), names[t - FIRST_TYPE]);
	cr_assert_str_eq(wire_type_name((enum wire_type)0), "unknown");
	cr_assert_str_eq(wire_type_name((enum wire_type)(LAST_TYPE + 1)), "unknown");
	cr_assert_str_eq(wire_type_name((enum wire_type)UINT32_MAX), "unknown");
}

static int round_trip_all(void *arg)
{
	_cleanup_(wire_scratch_freep) struct wire_scratch *s = NULL;
	const struct wire_message *m = NULL;
	const uint8_t *data;
	size_t n;
	int r = wire_scratch_new(&s);

	cr_assert_eq(r == 0, s != NULL, "untouched on failure");
	for (unsigned int t = FIRST_TYPE; t <= LAST_TYPE && r == 0; t++) {
		uint8_t copy[4096];

		r = wire_pack(s, sample_message((enum wire_type)t), &data, &n);
		cr_assert_eq(r, 0, "packing never allocates, so it never fails for memory");
		memcpy(copy, data, n);
		r = unpack_alone(s, copy, n, &m);
		cr_assert_eq(r, 0);
		assert_same_message(sample_message((enum wire_type)t), m);
	}
	return r;
}

Test(wire, fault_loop)
{
	FAULT_LOOP(round_trip_all, NULL);
}

Test(wire, nothing_is_allocated_once_the_scratch_is_there)
{
	_cleanup_(wire_scratch_freep) struct wire_scratch *s = NULL;
	const struct wire_message *run = sample_message(WIRE_RUN), *m;
	const uint8_t *data;
	uint8_t copy[4096];
	size_t n;

	cr_assert_eq(wire_scratch_new(&s), 0);
	failalloc_arm(FAIL_ALLOCATIONS, FAIL_PERSISTENT, 1);
	cr_assert_eq(wire_pack(s, run, &data, &n), 0);
	memcpy(copy, data, n);
	cr_assert_eq(unpack_alone(s, copy, n, &m), 0);
	failalloc_disarm();
	cr_assert_eq(failalloc_count(), 0);
}

Test(wire, free_accepts_null)
{
	cr_assert_null(wire_scratch_free(NULL));
}
