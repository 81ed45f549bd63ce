/* device_cuda_error_test.c: each error of CUDA is of the class that its consequences ask for. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/fakecuda/fakecuda.h"
#include "workers/device.h"

static struct device *open_gpu(void)
{
	char text[DEVICE_TEXT_MAX];
	struct device *d = NULL;

	cr_assert_eq(device_open(&d, "cuda:0", text), 0, "%s", text);
	return d;
}

/* What becomes of a call that fails so. */
static enum device_class class_of(int code)
{
	char settings[64];
	struct device_memory memory;
	struct device *d;
	int r;

	snprintf(settings, sizeof(settings), "fail=cudaMemGetInfo:2:%d", code);
	fakecuda_reset(settings);
	d = open_gpu();
	r = device_memory(d, &memory);
	cr_assert_gt(r, 0, "%d", code);
	cr_assert_eq(r >> 8, code, "the code can be told from the result");
	device_free(d);
	return device_class(r);
}

Test(device_cuda_error, those_of_a_request)
{
	static const int codes[] = {1, 9, 98, 101, 209, 218, 222, 400, 500, 701, 704, 705, 712, 713,
		720, 800, 801, 900, 901, 902, 903, 904, 905, 906, 907};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		cr_assert_eq(class_of(codes[i]), DEVICE_E_REQUEST, "%d", codes[i]);
	cr_assert_eq(class_of(2), DEVICE_E_MEMORY);
	cr_assert_eq(class_of(600), DEVICE_E_PENDING);
}

Test(device_cuda_error, those_that_end_the_process)
{
	static const int codes[] = {4, 214, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718,
		719, 721, 810, 911, 999};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		cr_assert_eq(class_of(codes[i]), DEVICE_E_LOST, "%d", codes[i]);
}

Test(device_cuda_error, those_that_a_new_process_would_meet_again)
{
	static const int codes[] = {3, 35, 46, 100, 802, 803, 805, 806, 807, 808, 809};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		cr_assert_eq(class_of(codes[i]), DEVICE_E_UNUSABLE, "%d", codes[i]);
}

Test(device_cuda_error, a_call_that_failed_leaves_nothing_behind)
{
	struct device_memory memory;
	struct device *d;

	fakecuda_reset("fail=cudaMemGetInfo:2:1");
	d = open_gpu();
	cr_assert_eq(device_class(device_memory(d, &memory)), DEVICE_E_REQUEST);
	cr_assert_eq(device_memory(d, &memory), 0);
	device_free(d);
}

Test(device_cuda_error, a_lost_context_stays_lost)
{
	struct device_memory memory;
	struct device_stream *s = NULL;
	struct device *d;

	fakecuda_reset("fail=cudaMemGetInfo:2:700");
	d = open_gpu();
	for (int i = 0; i < 3; i++)
		cr_assert_eq(device_class(device_memory(d, &memory)), DEVICE_E_LOST);
	cr_assert_eq(device_class(device_stream_new(d, &s)), DEVICE_E_LOST);
	device_free(d);
}

Test(device_cuda_error, in_words)
{
	char text[DEVICE_TEXT_MAX];
	struct device *d = open_gpu();

	cr_assert_str_eq(device_explain(d, device_result(DEVICE_E_LOST, 700), text, sizeof(text)),
		"cudaErrorIllegalAddress (700): an illegal memory access was encountered");
	device_free(d);
}
