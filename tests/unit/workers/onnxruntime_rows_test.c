/*
 * onnxruntime_rows_test.c: which graphs keep rows apart. Every input and output of these graphs has a
 * free first dimension.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/failalloc.h"
#include "tests/unit/workers/fake_graph.h"
#include "workers/backends/onnxruntime/rows.h"

#define OPSET 19

/* x: [batch, 4], y: the output; z: [batch, 3, 8, 8]; i: [batch], k: [batch, 2, 4]. */
static const struct modeld_declaration inputs[] = {
	{.name = "x", .rank = 2, .dims = {-1, 4}},
	{.name = "z", .rank = 4, .dims = {-1, 3, 8, 8}},
	{.name = "i", .rank = 1, .dims = {-1}},
	{.name = "k", .rank = 3, .dims = {-1, 2, -1}},
};
static const struct modeld_declaration output = {.name = "y", .rank = 2, .dims = {-1, -1}};

static struct rows_verdict judge(const char *lines, int64_t opset)
{
	struct fake_message model = fake_model(lines, opset);
	int fd = fake_file(model.data, model.n);
	struct rows_verdict verdict = {0};
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	cr_assert_eq(rows_judge(path, inputs, 4, &output, 1, &verdict), 0);
	close(fd);
	fake_free(&model);
	return verdict;
}

static void apart(const char *const *graphs, size_t n, int64_t opset)
{
	for (size_t i = 0; i < n; i++) {
		struct rows_verdict v = judge(graphs[i], opset);

		cr_expect(v.apart, "%s\n%s", graphs[i], v.why);
	}
}

struct mixed {
	const char *lines;
	const char *why;
};

static void mixed(const struct mixed *graphs, size_t n, int64_t opset)
{
	for (size_t i = 0; i < n; i++) {
		struct rows_verdict v = judge(graphs[i].lines, opset);

		cr_expect_not(v.apart, "%s", graphs[i].lines);
		cr_expect(strstr(v.why, graphs[i].why), "%s\n%s", graphs[i].lines, v.why);
	}
}

#define N(list) (sizeof(list) / sizeof((list)[0]))

Test(onnxruntime_rows, element_by_element)
{
	static const char *const yes[] = {
		"Relu x -> y",
		"Add x,x -> y",
		"= c f32 [4]\nAdd x,c -> y",
		"= c f32 [1,4]\nMul c,x -> y",
		"= c f32 []\nPow x,c -> y",
		"= low f32 [] 0\nClip x,low -> y",
		"= low f32 [] 0\nClip x,,low -> y",
		"= c f32 [4]\nSqrt c -> d\nDiv x,d -> y",
		"= c f32 [4]\n= d f32 [1]\nAdd c,d -> e\nAdd x,e -> y",
		"Greater x,x -> b\nWhere b,x,x -> y",
		"Cast x -> y to=7",
		"Identity x -> y",
		"Dropout x -> y",
		"= r f32 [] 0\n= t bool [] 0\nDropout x,r,t -> y,mask",
		"= s f32 []\n= p i32 []\nQuantizeLinear x,s,p -> q\nDequantizeLinear q,s,p -> y",
		"= s f32 [4]\nQuantizeLinear x,s -> y axis=1",
		"ai.onnx::Relu x -> y",
	};
	static const struct mixed no[] = {
		{"= c f32 [3,4]\nAdd x,c -> y", "rows of its own"},
		{"= c f32 [2,1,4]\nAdd x,c -> y", "first dimension against another"},
		{"Add x,i -> y", "first dimension against another"},
		{"= c f32 [2]\nAdd i,c -> y", "rows of its own"},
		{"= c f32 [1,1,1,1,1,1,1,1,1]\nAdd x,c -> y", "unknown rank"},
		{"= r f32 [] 0\n= t bool [] 1\nDropout x,r,t -> y", "training"},
		{"= s f32 [4]\nQuantizeLinear x,s -> y axis=0", "first dimension"},
		{"= s f32 [2,4]\nDequantizeLinear x,s -> y", "by blocks"},
		{"DequantizeLinear x,x -> y", "depends on the rows"},
		{"= c f32 [4]\nClip c,x -> y", "without rows"},
	};

	apart(yes, N(yes), OPSET);
	mixed(no, N(no), OPSET);
}

Test(onnxruntime_rows, along_an_axis)
{
	static const char *const yes[] = {
		"Softmax x -> y",
		"Softmax x -> y axis=1",
		"LogSoftmax k -> y axis=-2",
		"ReduceMean x -> y axes=[1]",
		"= a i64 [2] -1 -2\nReduceSum k,a -> y keepdims=0",
		"ReduceSum x -> y noop_with_empty_axes=1",
		"ArgMax x -> y axis=1 keepdims=0",
		"= a i64 [] 1\nCumSum x,a -> y",
		"= n i64 [1] 2\nTopK x,n -> y,where",
		"Split x -> y,b axis=1",
		"= s f32 [4]\nLayerNormalization x,s,s -> y",
		"LpNormalization x -> y",
		"MeanVarianceNormalization z -> y axes=[2,3]",
		"Concat x,x -> y axis=1",
		"= d i64 [] 5\n= v f32 [2]\nOneHot i,d,v -> y",
		"GatherElements x,x -> y axis=1",
		"ScatterElements x,x,x -> y axis=-1",
	};
	static const struct mixed no[] = {
		{"Softmax x -> y axis=0", "first dimension"},
		{"Softmax i -> y", "first dimension"},
		{"Softmax x -> y axis=-2", "first dimension"},
		{"Softmax x -> y axis=2", "axis that is not known"},
		{"ReduceMean x -> y", "every dimension"},
		{"ReduceMean x -> y axes=[0]", "first dimension"},
		{"ReduceMax x,i -> y", "depends on the rows"},
		{"= a f32 [1] 0.5\nReduceSum x,a -> y", "axis that is not known"},
		{"ArgMax x -> y", "first dimension"},
		{"= a i64 [] 0\nCumSum x,a -> y", "first dimension"},
		{"= a i64 [20]\nCumSum x,a -> y", "not known"},
		{"= n i64 [1] 2\nTopK x,n -> y,where axis=0", "first dimension"},
		{"Split x -> y,b", "first dimension"},
		{"= s f32 [2,4]\nLayerNormalization x,s -> y", "rows of its own"},
		{"= s f32 [4]\nLayerNormalization x,s,s -> y,mean", "training"},
		{"MeanVarianceNormalization z -> y", "all rows"},
		{"MeanVarianceNormalization z -> y axes=[0,2]", "first dimension"},
		{"Concat x,x -> y axis=0", "first dimension"},
		{"= c f32 [1,4]\nConcat x,c -> y axis=1", "what has none"},
		{"= d i64 [] 5\n= v f32 [2]\nOneHot i,d,v -> y axis=0", "first dimension"},
		{"GatherElements x,x -> y", "first dimension"},
		{"= c f32 [1,4]\nGatherElements c,x -> y axis=1", "what has none"},
	};

	apart(yes, N(yes), OPSET);
	mixed(no, N(no), OPSET);
}

/* Before opset 13 Softmax took all dimensions from the axis on together; the default axis was 1. */
Test(onnxruntime_rows, softmax_of_old)
{
	static const char *const yes[] = {"Softmax x -> y", "Softmax k -> y axis=1"};
	static const struct mixed no[] = {{"Softmax x -> y axis=0", "first dimension"}};

	apart(yes, N(yes), 11);
	mixed(no, N(no), 11);
}

Test(onnxruntime_rows, products)
{
	static const char *const yes[] = {
		"= w f32 [4,3]\nMatMul x,w -> y",
		"= w f32 [4]\nMatMul x,w -> y",
		"= w f32 [1,4,3]\nMatMul k,w -> y",
		"= w f32 [5,2]\nMatMul w,k -> y",
		"MatMul k,k -> y",
		"= w f32 [4,3]\nGemm x,w -> y",
		"= w f32 [3,4]\n= c f32 [3]\nGemm x,w,c -> y transB=1",
		"= w f32 [4,4]\nGemm x,w,x -> y",
		"= s f32 []\n= w i32 [4,3]\nQLinearMatMul x,s,s,w,s,s,s,s -> y",
	};
	static const struct mixed no[] = {
		{"MatMul x,x -> y", "sums over rows"},
		{"= w f32 [3,4]\nMatMul w,x -> y", "sums over rows"},
		{"MatMul i,x -> y", "sums over rows"},
		{"= w f32 [2,4,3]\nMatMul x,w -> y", "against another"},
		{"= w f32 [5,4,3]\nMatMul k,w -> y", "rows of its own"},
		{"MatMul z,k -> y", "against another"},
		{"= w f32 [4,3]\nGemm x,w -> y transA=1", "sums over rows"},
		{"Gemm x,x -> y", "sums over rows"},
		{"= w f32 [4,3]\n= c f32 [2,3]\nGemm x,w,c -> y", "rows of its own"},
		{"= s f32 [3]\n= w i32 [4,3]\nQLinearMatMul x,s,s,w,s,s,s,s -> y", "own"},
		{"MatMulInteger x,x -> y", "scale"},
	};

	apart(yes, N(yes), OPSET);
	mixed(no, N(no), OPSET);
}

Test(onnxruntime_rows, pictures)
{
	static const char *const yes[] = {
		"= w f32 [5,3,3,3]\nConv z,w -> y",
		"MaxPool z -> y kernel_shape=[2,2]",
		"GlobalAveragePool z -> p\nFlatten p -> y",
		"= s f32 [3]\nBatchNormalization z,s,s,s,s -> y",
		"= s f32 [3]\nInstanceNormalization z,s,s -> y",
		"= s f32 [4] 1 1 2 2\nResize z,,s -> y mode='linear'",
		"= s f32 [4] 1 1 2.5 2.5\nResize z,,s -> y mode='linear'",
		"Shape z -> all\n= from i64 [1] 0\n= to i64 [1] 2\nSlice all,from,to -> two\n"
		"= size i64 [2] 16 16\nConcat two,size -> sizes axis=0\nResize z,,,sizes -> y",
		"GridSample z,z -> y",
		"= p i64 [8] 0 0 1 1 0 0 1 1\nPad z,p -> y",
		"= p i64 [8] 0 0 1 1 0 0 1 1\nPad z,p -> y mode='reflect'",
		"DepthToSpace z -> y blocksize=2",
	};
	static const struct mixed no[] = {
		{"Conv z,z -> y", "depends on the rows"},
		{"= w f32 [5,3,3,3]\nConv k,w -> p\nConv w,p -> y", "without rows"},
		{"MaxPool z -> y,where kernel_shape=[2,2]", "second output"},
		{"AveragePool x -> y", "picture"},
		{"= s f32 [3]\nBatchNormalization z,s,s,s,s -> y,m,v training_mode=1", "training"},
		{"= s f32 [3]\nBatchNormalization z,s,s,s,s -> y,m,v", "training"},
		{"= s f32 [4] 2 1 1 1\nResize z,,s -> y", "first dimension"},
		{"= s i64 [4] 3 3 8 8\nResize z,,,s -> y", "first dimension"},
		{"= s f32 [4] 1 1 2 2\nResize z,,s -> y "
		 "coordinate_transformation_mode='tf_crop_and_resize'",
			"cut rows"},
		{"= s f32 [2] 2 2\nResize z,,s -> y axes=[0,1]", "axes"},
		{"= p i64 [8] 1 0 0 0 0 0 0 0\nPad z,p -> y", "add rows"},
		{"= p i64 [8] 0 0 0 0 1 0 0 0\nPad z,p -> y", "add rows"},
		{"= p i64 [2] 0 1\n= a i64 [1] 0\nPad z,p,,a -> y", "add rows"},
		{"= g f32 [1,8,8,2]\nGridSample z,g -> y", "without rows"},
	};

	apart(yes, N(yes), OPSET);
	mixed(no, N(no), OPSET);
}

Test(onnxruntime_rows, shapes)
{
	static const char *const yes[] = {
		"Transpose z -> y perm=[0,3,1,2]",
		"Flatten z -> y",
		"Flatten z -> y axis=-3",
		"= s i64 [2] 0 -1\nReshape z,s -> y",
		"= s i64 [2] -1 192\nReshape z,s -> y",
		"= s i64 [3] -1 2 2\nReshape x,s -> y",
		/* as exporters write it */
		"Shape z -> s\nConstant -> zero value=<0>\nGather s,zero -> b axis=0\n"
		"Constant -> rest value_ints=[-1]\nConcat b,rest -> shape axis=0\nReshape z,shape "
		"-> y",
		"Shape z -> s\nConstant -> zero value_int=0\nGather s,zero -> b\n"
		"= first i64 [1] 0\nUnsqueeze b,first -> list\nConstant -> rest value_ints=[192]\n"
		"Concat list,rest -> shape axis=0\nReshape z,shape -> y",
		"Shape k -> s start=0 end=1\n= c f32 [1,7]\n= seven i64 [1] 7\n"
		"Concat s,seven -> shape axis=0\nExpand c,shape -> y",
		"Shape x -> s\nConstantOfShape s -> zeros\nAdd x,zeros -> y",
		"Shape z -> s start=1\nReduceSum z -> b axes=[1,2,3] keepdims=0\nIdentity b -> y",
		"Unsqueeze x -> u axes=[1]\nSqueeze u -> y axes=[1]",
		"= a i64 [1] -1\nUnsqueeze i,a -> y",
		"= from i64 [1] 0\n= to i64 [1] 2\n= a i64 [1] 1\nSlice x,from,to,a -> y",
		"= w f32 [100,8]\nGather w,x -> y",
		"= at i64 [] 1\nGather x,at -> y axis=1",
		"= r i64 [2] 1 3\nTile x,r -> y",
		"= s i64 [3] 1 2 4\nExpand k,s -> y",
		"Trilu k -> y",
	};
	static const struct mixed no[] = {
		{"Transpose x -> y", "moves the first"},
		{"Transpose x -> y perm=[1,0]", "moves the first"},
		{"Transpose z -> y perm=[0,1,2]", "moves the first"},
		{"Flatten z -> y axis=0", "folds"},
		{"Flatten z -> y axis=2", "folds"},
		{"= s i64 [1] -1\nReshape x,s -> y", "fold"},
		{"= s i64 [2] -1 8\nReshape z,s -> y", "fold"},
		{"= s i64 [2] 1 -1\nReshape x,s -> y", "fold"},
		{"= s i64 [2] 0 -1\nReshape x,s -> y allowzero=1", "fold"},
		{"= s i64 [2] -1 4\nReshape k,s -> y", "fold"},
		{"Reshape x,x -> y", "not known"},
		{"Shape z -> s\n= t i64 [] 2\nMul s,t -> d\nReshape z,d -> y", "number of rows"},
		{"Shape x -> s\nReduceProd s -> n\nReshape x,n -> y", "number of rows"},
		{"Shape x -> s\nCast s -> t to=6\nCast t -> c to=9\nAdd x,x -> y",
			"number of rows"},
		{"Shape x -> y", "no row for each"},
		{"= c f32 [4]\nIdentity c -> y", "no row for each"},
		{"Size x -> y", "counts"},
		{"Unsqueeze x -> y axes=[0]", "first dimension"},
		{"Squeeze x -> y", "takes rows"},
		{"Squeeze x -> y axes=[0]", "first dimension"},
		{"= from i64 [1] 0\n= to i64 [1] 2\nSlice x,from,to -> y", "first dimension"},
		{"= from i64 [1] 0\n= to i64 [1] 2\n= a i64 [1] 0\nSlice x,from,to,a -> y",
			"first"},
		{"Gather x,x -> y axis=1", "rows by rows"},
		{"= at i64 [2] 0 1\nGather x,at -> y", "first dimension"},
		{"= w f32 [8,9]\nGather w,x -> y axis=1", "something else the first"},
		{"= r i64 [2] 2 1\nTile x,r -> y", "repeat rows"},
		{"= s i64 [2] 3 4\nExpand x,s -> y", "stretches"},
		{"= s i64 [3] 1 1 4\nExpand x,s -> y", "stretches"},
		{"Shape x -> s\n= c f32 [2,4]\nExpand c,s -> y", "rows of its own"},
		{"Trilu x -> y", "matrix"},
	};

	apart(yes, N(yes), OPSET);
	mixed(no, N(no), OPSET);
}

Test(onnxruntime_rows, never)
{
	static const struct mixed graphs[] = {
		{"DynamicQuantizeLinear x -> q,s,p\nRelu x -> y", "scale from all rows"},
		{"NonMaxSuppression k,k -> y", "finds in all rows"},
		{"NonZero x -> y", "finds"},
		{"Unique i -> y", "finds"},
		{"If x -> y", "graph inside"},
		{"Loop x -> y", "graph inside"},
		{"Scan x -> y", "graph inside"},
		{"RandomNormalLike x -> y", "random"},
		{"LSTM k,k,k -> y", "another dimension"},
		{"Einsum x,x -> y equation='ij,kj->ik'", "not known"},
		{"NoSuchOperator x -> y", "not known"},
		{"com.microsoft::Gelu x -> y", "com.microsoft"},
		{"Relu nowhere -> y", "nothing before it gives"},
		{"Relu x -> y\nRelu x -> y", "twice"},
		{"Relu x -> x", "twice"},
		{"Relu x -> other", "no row for each"},
	};

	mixed(graphs, N(graphs), OPSET);
}

Test(onnxruntime_rows, opsets)
{
	static const struct mixed old[] = {{"Relu x -> y", "opset 6"}};
	static const struct mixed coming[] = {{"Relu x -> y", "opset 99"}};

	mixed(old, 1, 6);
	mixed(coming, 1, 99);
}

Test(onnxruntime_rows, examples_of_ml)
{
	static const char *const yes[] = {
		"ai.onnx.ml::Scaler x -> s\nai.onnx.ml::TreeEnsembleRegressor s -> y",
		"ai.onnx.ml::TreeEnsembleClassifier x -> label,y",
	};
	static const struct mixed no[] = {
		{"ai.onnx.ml::TreeEnsembleRegressor k -> y", "one example a row"},
		{"ai.onnx.ml::TfIdfVectorizer x -> y", "not known"},
	};

	apart(yes, N(yes), OPSET);
	mixed(no, N(no), OPSET);
}

Test(onnxruntime_rows, no_file)
{
	struct rows_verdict verdict = {0};

	cr_assert_eq(rows_judge("/nonexistent", inputs, 4, &output, 1, &verdict), 0);
	cr_assert_not(verdict.apart);
	cr_assert(strstr(verdict.why, "No such file"), "%s", verdict.why);
}

static int judge_once(void *arg)
{
	struct rows_verdict verdict = {0};
	int e = rows_judge(arg, inputs, 4, &output, 1, &verdict);

	cr_assert(e == -ENOMEM || (e == 0 && verdict.apart), "%d %s", e, verdict.why);
	return e;
}

Test(onnxruntime_rows, without_memory)
{
	struct fake_message model =
		fake_model("= c f32 [4]\nAdd x,c -> a\nSoftmax a -> y axis=1", OPSET);
	int fd = fake_file(model.data, model.n);
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	FAULT_LOOP_KINDS(judge_once, path, FAIL_ALLOCATIONS);
	close(fd);
	fake_free(&model);
}
