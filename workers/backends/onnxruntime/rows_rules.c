/*
 * rows_rules.c: the operators that are known, ONNX's own and those of ai.onnx.ml: the rule that each
 * must keep to keep rows apart, or why it cannot. One that is not here is not known to be safe.
 * Worker process.
 */
#include <string.h>

#include "workers/backends/onnxruntime/rows_private.h"

#define UNARY(name)                                                                                \
	{                                                                                          \
		.op = (name), .apply = rule_first, .elementwise = true                             \
	}
#define BINARY(name)                                                                               \
	{                                                                                          \
		.op = (name), .apply = rule_elementwise, .elementwise = true                       \
	}
#define REDUCE(name)                                                                               \
	{                                                                                          \
		.op = (name), .apply = rule_reduce                                                 \
	}
#define PICTURE(name)                                                                              \
	{                                                                                          \
		.op = (name), .apply = rule_picture                                                \
	}
#define ON(name, rule)                                                                             \
	{                                                                                          \
		.op = (name), .apply = (rule)                                                      \
	}
#define SHAPE(name, rule)                                                                          \
	{                                                                                          \
		.op = (name), .apply = (rule), .shapes = true                                      \
	}
#define NEVER(name, why)                                                                           \
	{                                                                                          \
		.op = (name), .why_not = (why)                                                     \
	}

static const char by_chance[] = "is random: an answer depends on how many there were before";
static const char subgraph[] = "has a graph inside, which is not looked at";
static const char found[] = "makes as many elements as it finds in all rows together";
static const char whole_scale[] = "takes its scale from all rows together";
static const char dynamic[] = "works on numbers whose scale may come from all rows together";
static const char no_tensor[] = "works on sequences or optional values";
static const char recurrent[] = "has the batch in another dimension than the first";
static const char numbers_of_batch[] = "names elements by where they are among all rows";

static const struct rows_rule rules[] = {
	UNARY("Abs"),
	UNARY("Acos"),
	UNARY("Acosh"),
	UNARY("Asin"),
	UNARY("Asinh"),
	UNARY("Atan"),
	UNARY("Atanh"),
	UNARY("BitwiseNot"),
	UNARY("Ceil"),
	UNARY("Celu"),
	UNARY("Clip"),
	UNARY("Cos"),
	UNARY("Cosh"),
	UNARY("Elu"),
	UNARY("Erf"),
	UNARY("Exp"),
	UNARY("Floor"),
	UNARY("Gelu"),
	UNARY("HardSigmoid"),
	UNARY("HardSwish"),
	UNARY("IsInf"),
	UNARY("IsNaN"),
	UNARY("LeakyRelu"),
	UNARY("Log"),
	UNARY("Mish"),
	UNARY("Neg"),
	UNARY("Not"),
	UNARY("Reciprocal"),
	UNARY("Relu"),
	UNARY("Round"),
	UNARY("Selu"),
	UNARY("Shrink"),
	UNARY("Sigmoid"),
	UNARY("Sign"),
	UNARY("Sin"),
	UNARY("Sinh"),
	UNARY("Softplus"),
	UNARY("Softsign"),
	UNARY("Sqrt"),
	UNARY("Swish"),
	UNARY("Tan"),
	UNARY("Tanh"),
	UNARY("ThresholdedRelu"),
	BINARY("Add"),
	BINARY("And"),
	BINARY("BitShift"),
	BINARY("BitwiseAnd"),
	BINARY("BitwiseOr"),
	BINARY("BitwiseXor"),
	BINARY("Div"),
	BINARY("Equal"),
	BINARY("Greater"),
	BINARY("GreaterOrEqual"),
	BINARY("Less"),
	BINARY("LessOrEqual"),
	BINARY("Max"),
	BINARY("Mean"),
	BINARY("Min"),
	BINARY("Mod"),
	BINARY("Mul"),
	BINARY("Or"),
	BINARY("PRelu"),
	BINARY("Pow"),
	BINARY("Sub"),
	BINARY("Sum"),
	BINARY("Where"),
	BINARY("Xor"),
	REDUCE("ReduceL1"),
	REDUCE("ReduceL2"),
	REDUCE("ReduceLogSum"),
	REDUCE("ReduceLogSumExp"),
	REDUCE("ReduceMax"),
	REDUCE("ReduceMean"),
	REDUCE("ReduceMin"),
	REDUCE("ReduceProd"),
	REDUCE("ReduceSum"),
	REDUCE("ReduceSumSquare"),
	ON("ArgMax", rule_arg),
	ON("ArgMin", rule_arg),
	ON("CumSum", rule_cumsum),
	ON("Hardmax", rule_softmax),
	ON("LogSoftmax", rule_softmax),
	ON("Softmax", rule_softmax),
	ON("LayerNormalization", rule_layer_normalization),
	ON("RMSNormalization", rule_layer_normalization),
	ON("LpNormalization", rule_last_axis),
	ON("Split", rule_split),
	ON("TopK", rule_topk),
	PICTURE("AveragePool"),
	PICTURE("Conv"),
	PICTURE("ConvTranspose"),
	PICTURE("DepthToSpace"),
	PICTURE("GlobalAveragePool"),
	PICTURE("GlobalLpPool"),
	PICTURE("GlobalMaxPool"),
	PICTURE("GroupNormalization"),
	PICTURE("InstanceNormalization"),
	PICTURE("LRN"),
	PICTURE("LpPool"),
	PICTURE("MaxPool"),
	PICTURE("QLinearConv"),
	PICTURE("SpaceToDepth"),
	ON("BatchNormalization", rule_batch_normalization),
	ON("GridSample", rule_grid_sample),
	ON("MeanVarianceNormalization", rule_mean_variance),
	SHAPE("Resize", rule_resize),
	SHAPE("Upsample", rule_resize),
	ON("Gemm", rule_gemm),
	ON("MatMul", rule_matmul),
	ON("QLinearMatMul", rule_qlinear_matmul),
	ON("CastLike", rule_first),
	ON("DequantizeLinear", rule_quantize),
	ON("Dropout", rule_dropout),
	ON("GatherElements", rule_gather_elements),
	ON("OneHot", rule_one_hot),
	ON("Pad", rule_pad),
	ON("QuantizeLinear", rule_quantize),
	ON("ScatterElements", rule_scatter_elements),
	ON("Tile", rule_tile),
	ON("Transpose", rule_transpose),
	ON("Trilu", rule_triangle),
	SHAPE("Cast", rule_cast),
	SHAPE("Concat", rule_concat),
	SHAPE("Constant", rule_constant),
	SHAPE("ConstantOfShape", rule_constant_of_shape),
	SHAPE("Expand", rule_expand),
	SHAPE("Flatten", rule_flatten),
	SHAPE("Gather", rule_gather),
	SHAPE("Identity", rule_same),
	SHAPE("Reshape", rule_reshape),
	SHAPE("Shape", rule_shape),
	SHAPE("Slice", rule_slice),
	SHAPE("Squeeze", rule_squeeze),
	SHAPE("Unsqueeze", rule_unsqueeze),
	NEVER("Bernoulli", by_chance),
	NEVER("Multinomial", by_chance),
	NEVER("RandomNormal", by_chance),
	NEVER("RandomNormalLike", by_chance),
	NEVER("RandomUniform", by_chance),
	NEVER("RandomUniformLike", by_chance),
	NEVER("If", subgraph),
	NEVER("Loop", subgraph),
	NEVER("Scan", subgraph),
	NEVER("SequenceMap", subgraph),
	NEVER("Compress", found),
	NEVER("NonMaxSuppression", found),
	NEVER("NonZero", found),
	NEVER("Unique", found),
	NEVER("DynamicQuantizeLinear", whole_scale),
	NEVER("ConvInteger", dynamic),
	NEVER("MatMulInteger", dynamic),
	NEVER("ConcatFromSequence", no_tensor),
	NEVER("Optional", no_tensor),
	NEVER("OptionalGetElement", no_tensor),
	NEVER("OptionalHasElement", no_tensor),
	NEVER("SequenceAt", no_tensor),
	NEVER("SequenceConstruct", no_tensor),
	NEVER("SequenceEmpty", no_tensor),
	NEVER("SequenceErase", no_tensor),
	NEVER("SequenceInsert", no_tensor),
	NEVER("SequenceLength", no_tensor),
	NEVER("SplitToSequence", no_tensor),
	NEVER("GRU", recurrent),
	NEVER("LSTM", recurrent),
	NEVER("RNN", recurrent),
	NEVER("MaxRoiPool", numbers_of_batch),
	NEVER("MaxUnpool", numbers_of_batch),
	NEVER("RoiAlign", numbers_of_batch),
	NEVER("Size", "counts the elements of all rows"),
	NEVER("GatherND", "may pick from other rows"),
	NEVER("ScatterND", "may write to other rows"),
	NEVER("ReverseSequence", "may turn the rows round"),
};

static const struct rows_rule ml_rules[] = {
	ON("Binarizer", rule_first),
	ON("LabelEncoder", rule_first),
	ON("Imputer", rule_example),
	ON("Normalizer", rule_example),
	ON("Scaler", rule_example),
	ON("LinearRegressor", rule_regressor),
	ON("SVMRegressor", rule_regressor),
	ON("TreeEnsembleRegressor", rule_regressor),
	ON("LinearClassifier", rule_classifier),
	ON("SVMClassifier", rule_classifier),
	ON("TreeEnsembleClassifier", rule_classifier),
	NEVER("ZipMap", no_tensor),
};

const struct rows_rule *rows_find_rule(const char *op, bool ml)
{
	const struct rows_rule *list = ml ? ml_rules : rules;
	size_t n = ml ? sizeof(ml_rules) / sizeof(ml_rules[0]) : sizeof(rules) / sizeof(rules[0]);

	for (size_t i = 0; i < n; i++)
		if (!strcmp(list[i].op, op))
			return &list[i];
	return NULL;
}
