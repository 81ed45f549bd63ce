/* traceparent_test.c: the form of a traceparent header. */
#include "base/traceparent.h"

#include <criterion/criterion.h>
#include <string.h>

#define TRACE  "0af7651916cd43dd8448eb211c80319c"
#define PARENT "b7ad6b7169203331"

static bool valid(const char *text)
{
	return traceparent_valid(text, strlen(text));
}

Test(traceparent, valid)
{
	cr_assert(valid("00-" TRACE "-" PARENT "-01"));
	cr_assert(valid("00-" TRACE "-" PARENT "-00"));
	/* A later version may have more behind a dash. */
	cr_assert(valid("cc-" TRACE "-" PARENT "-01-more"));
}

Test(traceparent, invalid)
{
	static const char *const texts[] = {
		"",
		"00",
		"00-" TRACE "-" PARENT "-0",
		"00-" TRACE "-" PARENT "-01-more",
		"cc-" TRACE "-" PARENT "-01more",
		"ff-" TRACE "-" PARENT "-01",
		"00-00000000000000000000000000000000-" PARENT "-01",
		"00-" TRACE "-0000000000000000-01",
		"00-0AF7651916CD43DD8448EB211C80319C-" PARENT "-01",
		"00_" TRACE "-" PARENT "-01",
		"00-" TRACE "_" PARENT "-01",
		"00-" TRACE "-" PARENT "_01",
		"00-" TRACE "-" PARENT "-0g",
		"g0-" TRACE "-" PARENT "-01",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		cr_assert_not(valid(texts[i]), "%s", texts[i]);
}

Test(traceparent, reads_what_it_writes)
{
	static const char *const texts[] = {
		"00-" TRACE "-" PARENT "-01",
		"00-" TRACE "-" PARENT "-00",
		"00-ffffffffffffffffffffffffffffffff-ffffffffffffffff-01",
	};
	char text[TRACEPARENT_BYTES + 1];
	struct traceparent t;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		t = traceparent_read(texts[i]);
		traceparent_write(&t, text);
		cr_expect_str_eq(text, texts[i]);
		cr_expect_eq(t.sampled, i != 1);
	}
	cr_expect_eq(t.trace_id[15], 0xff);
	/* Other flags are of later versions. */
	t = traceparent_read("cc-" TRACE "-" PARENT "-ff-more");
	cr_expect(t.sampled);
	cr_expect_eq(t.trace_id[0], 0x0a);
	cr_expect_eq(t.span_id[7], 0x31);
	cr_expect_not(traceparent_read("00-" TRACE "-" PARENT "-fe").sampled);
}
