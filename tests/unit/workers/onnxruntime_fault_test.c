/*
 * onnxruntime_fault_test.c: the onnxruntime backend, linked into this test, while its allocations
 * fail one after another. ONNX Runtime's own do not.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/support/failalloc.h"
#include "tests/unit/workers/fake_onnx.h"

const struct modeld_backend *modeld_backend(const struct modeld_host *host);

static int add_once(struct onnx_model *m)
{
	static const int64_t dims[] = {1, 4};
	float a[4] = {1, 2, 3, 4}, b[4] = {4, 3, 2, 1};
	enum modeld_code code;
	struct onnx_run r;

	onnx_prepare(&r, m);
	onnx_input(&r, 0, MODELD_DTYPE_F32, dims, 2, a, sizeof(a));
	onnx_input(&r, 1, MODELD_DTYPE_F32, dims, 2, b, sizeof(b));
	code = onnx_run(&r, m);
	if (!code)
		cr_assert_eq(((float *)r.out[0].data)[0], 5);
	onnx_done(&r);
	return code;
}

/* A load that fails says why and keeps nothing; one that works can be run without memory. */
static int load_and_run(void *arg)
{
	struct onnx_model m;
	enum modeld_code code = onnx_try_load(&m, arg);
	int r;

	if (code) {
		cr_assert_null(m.model);
		cr_assert_eq(code, MODELD_EXHAUSTED, "%d %s", (int)code, m.error.text);
		cr_assert(strstr(m.error.text, "no memory"), "%s", m.error.text);
		return -1;
	}
	r = add_once(&m);
	onnx_unload(&m);
	return r;
}

Test(onnxruntime_fault, load_and_run, .timeout = 120)
{
	onnx_start(modeld_backend);
	FAULT_LOOP(load_and_run, (void *)"add_sub");
}
