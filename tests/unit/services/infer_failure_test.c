/* infer_failure_test.c: the first reason counts, its text is kept; handed on; without memory. */
#include "services/infer_failure.h"

#include <criterion/criterion.h>
#include <string.h>

#include "tests/support/failalloc.h"

Test(infer_failure, the_first_counts)
{
	struct infer_failure f = {0};

	cr_expect_eq(infer_fail(&f, GRPC_NOT_FOUND, "model '%s'", "x"), INFER_E_FAILED);
	cr_expect_eq(infer_fail(&f, GRPC_INTERNAL, "later"), INFER_E_FAILED);
	cr_expect_eq(infer_fail_memory(&f), INFER_E_FAILED);
	cr_expect_eq(f.status, GRPC_NOT_FOUND);
	cr_expect_str_eq(f.text, "model 'x'");
	infer_failure_deinit(&f);
	cr_expect_eq(f.status, GRPC_OK);
	cr_expect_null(f.text);
	infer_failure_deinit(&f);
}

Test(infer_failure, a_long_text_is_cut)
{
	struct infer_failure f = {0};

	infer_fail(&f, GRPC_INTERNAL, "%*s", 3 * GRPC_MESSAGE_MAX, "x");
	cr_assert(f.text);
	cr_expect_eq(strlen(f.text), GRPC_MESSAGE_MAX);
	infer_failure_deinit(&f);
}

Test(infer_failure, handed_on)
{
	struct infer_failure from = {0}, to = {0};

	infer_fail(&from, GRPC_NOT_FOUND, "there is none");
	infer_failure_move(&to, &from);
	cr_expect_eq(from.status, GRPC_OK);
	cr_expect_null(from.text);
	cr_expect_eq(to.status, GRPC_NOT_FOUND);
	cr_expect_str_eq(to.text, "there is none");
	infer_failure_deinit(&to);
	infer_failure_deinit(&from);
}

Test(infer_failure, without_memory)
{
	struct infer_failure f = {0};

	failalloc_arm(FAIL_ALLOCATIONS, FAIL_PERSISTENT, 1);
	infer_fail(&f, GRPC_NOT_FOUND, "the status is what is left");
	failalloc_disarm();
	cr_expect_eq(f.status, GRPC_NOT_FOUND);
	cr_expect_null(f.text);
	infer_failure_deinit(&f);
	infer_fail_memory(&f);
	cr_expect_eq(f.status, GRPC_RESOURCE_EXHAUSTED);
	infer_failure_deinit(&f);
}
