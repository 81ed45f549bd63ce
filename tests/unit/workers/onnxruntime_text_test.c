/* onnxruntime_text_test.c: texts of ONNX Runtime, as it writes them, and what is left for people. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "workers/backends/onnxruntime/text.h"

static void becomes(const char *before, const char *after)
{
	char text[1024];

	snprintf(text, sizeof(text), "%s", before);
	text_cut(text);
	cr_expect_str_eq(text, after, "%s\n%s", text, after);
}

Test(onnxruntime_text, operators_that_fail)
{
	becomes("Non-zero status code returned while running GatherElements node. Name:'pick' "
		"Status "
		"Message: "
		"/onnxruntime_src/onnxruntime/core/providers/cpu/tensor/gather_elements.cc:150 "
		"void "
		"onnxruntime::core_impl(const Tensor*, const Tensor*, Tensor*, int64_t, "
		"concurrency::ThreadPool*) [with Tin = long int; int64_t = long int] "
		"GatherElements op: Out of "
		"range value in index tensor\n",
		"operator GatherElements 'pick': GatherElements op: Out of range value in index "
		"tensor");
	becomes("Non-zero status code returned while running Reshape node. Name:'' Status Message: "
		"/onnxruntime_src/onnxruntime/core/providers/cpu/tensor/reshape_helper.h:91 "
		"onnxruntime::ReshapeHelper::ReshapeHelper(const onnxruntime::TensorShape&, "
		"onnxruntime::TensorShapeVector&, bool) input_shape_size == requested_shape_size "
		"was false. The "
		"input tensor cannot be reshaped to the requested shape. Input shape:{1,2}\n",
		"operator Reshape: The input tensor cannot be reshaped to the requested shape. "
		"Input "
		"shape:{1,2}");
	becomes("Non-zero status code returned while running MatMul node. "
		"Name:'/net/layer.0/MatMul' Status "
		"Message: matmul_helper.h:59 Compute MatMul dimension mismatch",
		"operator MatMul '/net/layer.0/MatMul': MatMul dimension mismatch");
	becomes("Non-zero status code returned while running ConvInteger node. Name:'' Status "
		"Message: "
		"/onnxruntime_src/onnxruntime/core/providers/cpu/quantization/conv_integer.cc:52 "
		"virtual "
		"onnxruntime::common::Status "
		"onnxruntime::ConvInteger::Compute(onnxruntime::OpKernelContext*) "
		"const IsScalarOr1ElementVector(W_Zero_Point) was false. Non per-tensor "
		"quantization is not "
		"supported now.\n",
		"operator ConvInteger: Non per-tensor quantization is not supported now.");
}

Test(onnxruntime_text, codes)
{
	becomes("/a/op_kernel.cc:87 virtual OrtValue* OutputMLValue(int, const T&) "
		"[ONNXRuntimeError] : 2 : "
		"INVALID_ARGUMENT : The output has shape {1,2}",
		"The output has shape {1,2}");
	becomes("[ONNXRuntimeError] : 2", "[ONNXRuntimeError] : 2");
}

Test(onnxruntime_text, models_that_do_not_load)
{
	becomes("Exception during initialization: "
		"/onnxruntime_src/onnxruntime/core/providers/cpu/rnn/rnn.h:48 "
		"onnxruntime::RNN<T>::RNN(const onnxruntime::OpKernelInfo&) [with T = float] "
		"layout_ == 0 was "
		"false. Batchwise recurrent operations (layout == 1) are not supported.\n",
		"Exception during initialization: Batchwise recurrent operations (layout == 1) are "
		"not "
		"supported.");
	becomes("Failed to find kernel for Swish(24) (node:'' ep:'CPUExecutionProvider'). Kernel "
		"not found",
		"Failed to find kernel for Swish(24) (node:'' ep:'CPUExecutionProvider'). Kernel "
		"not found");
}

/* What looks like it and is not stays as it is; nothing is read beyond its end. */
Test(onnxruntime_text, what_is_no_source)
{
	static const char *const same[] = {"", "a.h:", "a.h:1", ".h:1 x", "a.cc:12x y",
		"x was false.", "Non-zero status code returned while running Op", "f(a",
		"Name:'' Status Message:"};

	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
		becomes(same[i], same[i]);
	becomes("/a/b.cc:12 f(g(h", "f(g(h");
	becomes("/a/b.cc:12 f() [with ", "[with");
	becomes("b.cc:12 word", "word");
	becomes("/a/b.cc:1 f() x was false. ", "x was false.");
}

Test(onnxruntime_text, paths_of_the_server)
{
	char text[256] =
		"Load model from /srv/models/m/1/model.onnx failed: /srv/models/m/1/weights.bin is "
		"not /srv/models/m/12";

	text_hide(text, "/srv/models/m/1/");
	cr_expect_str_eq(
		text, "Load model from model.onnx failed: weights.bin is not /srv/models/m/12");
	text_hide(text, "");
	text_hide(text, "/");
	cr_expect_str_eq(
		text, "Load model from model.onnx failed: weights.bin is not /srv/models/m/12");
}

Test(onnxruntime_text, what_it_misses_in_a_sandbox_is_no_warning)
{
	cr_expect(text_is_idle(
		"Failed to persist telemetry device ID; using an in-memory identifier"));
	cr_expect(text_is_idle(
		"GPU device discovery failed: Error: std::error_code with category name: "
		"generic, value: 13, message: Permission denied"));
	cr_expect_not(text_is_idle("The model has a GPU device discovery failed"));
	cr_expect_not(text_is_idle("Failed to persist"));
	cr_expect_not(text_is_idle(""));
}
