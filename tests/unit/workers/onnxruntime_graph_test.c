/*
 * onnxruntime_graph_test.c: reading ONNX files field by field: what is there is told, what is broken
 * or beyond a limit is refused, and weights are not read.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/failalloc.h"
#include "tests/unit/workers/fake_graph.h"
#include "workers/backends/onnxruntime/graph.h"

/* What was told. */
struct seen {
	struct graph_tensor constants[4];
	size_t n_constants;
	char nodes[512];
	int64_t opset;
	int answer; /* of on_node */
};

static int on_opset(void *data, const char *domain, int64_t version)
{
	((struct seen *)data)->opset = version;
	return 0;
}

static int on_constant(void *data, const struct graph_tensor *tensor)
{
	struct seen *s = data;

	s->constants[s->n_constants++ % 4] = *tensor;
	return 0;
}

static int on_node(void *data, const struct graph_node *node)
{
	struct seen *s = data;
	size_t n = strlen(s->nodes);

	n += (size_t)snprintf(s->nodes + n, sizeof(s->nodes) - n, "%s::%s %s(", node->domain,
		node->op, node->n_outputs ? node->outputs[0] : "");
	for (size_t i = 0; i < node->n_inputs && n < 400; i++)
		n += (size_t)snprintf(s->nodes + n, sizeof(s->nodes) - n, "%s;", node->inputs[i]);
	for (size_t i = 0; i < node->n_attributes && n < 400; i++)
		n += (size_t)snprintf(s->nodes + n, sizeof(s->nodes) - n, " %s=%lld/%s/%d",
			node->attributes[i].name, (long long)node->attributes[i].i,
			node->attributes[i].text, node->attributes[i].n_numbers);
	snprintf(s->nodes + n, sizeof(s->nodes) - n, ")\n");
	return s->answer;
}

static int read_bytes(struct seen *s, const void *data, size_t n)
{
	struct graph_visitor visitor = {on_opset, on_constant, on_node, s};
	int fd = fake_file(data, n);
	int e = graph_read(fd, &visitor);

	close(fd);
	return e;
}

static int read_model(struct seen *s, struct fake_message *model)
{
	int e = read_bytes(s, model->data, model->n);

	fake_free(model);
	return e;
}

/* A model around a graph. */
static int read_graph(struct seen *s, struct fake_message *graph)
{
	struct fake_message model = {0};

	fake_part(&model, 7, graph);
	return read_model(s, &model);
}

Test(onnxruntime_graph, what_is_there)
{
	struct seen s = {0};
	struct fake_message m =
		fake_model("= a i64 [2] 3 -4\n= b f32 [3] 1 0.5 7\n= c f32 [1000]\n"
			   "= d bool [] 1\nAdd a,,b -> y axis=-1 mode='up' list=[1,2]\n"
			   "ai.onnx.ml::Scaler y -> z",
			17);

	cr_assert_eq(read_model(&s, &m), 0);
	cr_assert_eq(s.opset, 17);
	cr_assert_eq(s.n_constants, 4);
	cr_assert_str_eq(s.constants[0].name, "a");
	cr_assert(s.constants[0].known_shape && s.constants[0].rank == 1);
	cr_assert_eq(s.constants[0].dims[0], 2);
	cr_assert_eq(s.constants[0].n_numbers, 2);
	cr_assert_eq(s.constants[0].numbers[1], -4);
	cr_assert_eq(s.constants[1].numbers[0], 1);
	cr_assert_eq(s.constants[1].numbers[1], GRAPH_NOT_WHOLE);
	cr_assert_eq(s.constants[2].dims[0], 1000);
	cr_assert_eq(s.constants[2].n_numbers, -1);
	cr_assert_eq(s.constants[3].rank, 0);
	cr_assert_eq(s.constants[3].numbers[0], 1);
	cr_assert_str_eq(s.nodes, "::Add y(a;;b; axis=-1//0 mode=0/up/0 list=0//2)\n"
				  "ai.onnx.ml::Scaler z(y;)\n");
}

/* Elements in fields of their own, packed or one by one, as other writers have them. */
Test(onnxruntime_graph, other_forms_of_numbers)
{
	static const uint8_t packed[] = {2, 0x80, 1};
	static const float floats[] = {2, 1.5f};
	struct fake_message graph = {0}, a = {0}, b = {0};
	struct seen s = {0};

	fake_bytes(&a, 1, "\2", 1);
	fake_varint(&a, 2, 7);
	fake_bytes(&a, 7, packed, sizeof(packed));
	fake_part(&graph, 5, &a);
	fake_varint(&b, 1, 2);
	fake_varint(&b, 2, 1);
	fake_bytes(&b, 4, floats, sizeof(floats));
	fake_part(&graph, 5, &b);
	cr_assert_eq(read_graph(&s, &graph), 0);
	cr_assert_eq(s.constants[0].n_numbers, 2);
	cr_assert_eq(s.constants[0].numbers[1], 128);
	cr_assert_eq(s.constants[1].numbers[0], 2);
	cr_assert_eq(s.constants[1].numbers[1], GRAPH_NOT_WHOLE);
}

/* A shape that its elements do not fill, a negative one, too many dimensions. */
Test(onnxruntime_graph, constants_that_do_not_add_up)
{
	struct seen s = {0};
	struct fake_message m =
		fake_model("= a i64 [3] 1 2\n= b i64 [-1] 1\n= c i64 [1,1,1,1,1,1,1,1,1] 5\n"
			   "= d i64 [4294967296,4294967296]",
			17);

	cr_assert_eq(read_model(&s, &m), 0);
	cr_assert_eq(s.constants[0].n_numbers, -1);
	cr_assert_not(s.constants[1].known_shape);
	cr_assert_not(s.constants[2].known_shape);
	cr_assert_eq(s.constants[3].n_numbers, -1);
}

Test(onnxruntime_graph, weights_are_not_read)
{
	struct fake_message graph = {0}, tensor = {0}, m = fake_model("Relu x -> y", 17);
	size_t n = 8u << 20;
	uint8_t *weights = calloc(1, n);
	struct seen s = {0};

	fake_varint(&tensor, 1, n / 4);
	fake_varint(&tensor, 2, 1);
	fake_string(&tensor, 8, "w");
	fake_bytes(&tensor, 9, weights, n);
	fake_part(&graph, 5, &tensor);
	free(weights);
	fake_free(&m);
	cr_assert_eq(read_graph(&s, &graph), 0);
	cr_assert_eq(s.constants[0].dims[0], (int64_t)n / 4);
	cr_assert_eq(s.constants[0].n_numbers, -1);
}

/* Cut off at every byte: broken, or a shorter model, never more than what is there. */
Test(onnxruntime_graph, cut_anywhere)
{
	struct fake_message m = fake_model("= a i64 [2] 3 4\nAdd a,b -> y axis=1 list=[1,2]", 17);

	for (size_t n = 0; n < m.n; n++) {
		struct seen s = {0};

		cr_assert_eq(read_bytes(&s, m.data, n), GRAPH_E_BROKEN, "%zu of %zu", n, m.n);
	}
	fake_free(&m);
}

Test(onnxruntime_graph, broken)
{
	static const struct {
		const char *bytes;
		size_t n;
	} cases[] = {
		{"", 0}, {"\x3a\x00", 2}, /* an empty graph at the end is one */
		{"\x3b\x00", 2},	  /* a group */
		{"\x02\x00", 2},	  /* field 0 */
		{"\x3a\x05\x0a", 3},	  /* longer than the file */
		{"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11},
		{"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 12}, /* no end of a number */
		{"\x3a\x00\x3a\x00", 4},				  /* two graphs */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct seen s = {0};
		int e = read_bytes(&s, cases[i].bytes, cases[i].n);

		cr_expect_eq(e, i == 1 ? 0 : GRAPH_E_BROKEN, "case %zu: %d", i, e);
	}
}

static int read_lines(const char *lines)
{
	struct fake_message m = fake_model(lines, 17);
	struct seen s = {0};

	return read_model(&s, &m);
}

Test(onnxruntime_graph, limits)
{
	struct fake_message graph = {0}, node = {0};
	struct seen s = {0};
	char name[GRAPH_NAME_MAX + 1];

	memset(name, 'a', sizeof(name));
	fake_bytes(&node, 3, name, sizeof(name));
	fake_part(&graph, 1, &node);
	cr_assert_eq(read_graph(&s, &graph), GRAPH_E_LARGE);
	fake_bytes(&node, 3, "a\0b", 3);
	fake_part(&graph, 1, &node);
	cr_assert_eq(read_graph(&s, &graph), GRAPH_E_LARGE);
	for (unsigned i = 0; i <= GRAPH_EDGES_MAX; i++)
		fake_string(&node, 1, "a");
	fake_part(&graph, 1, &node);
	cr_assert_eq(read_graph(&s, &graph), GRAPH_E_LARGE);
	for (unsigned i = 0; i <= GRAPH_ATTRIBUTES_MAX; i++)
		fake_string(&node, 5, "\n\1a");
	fake_part(&graph, 1, &node);
	cr_assert_eq(read_graph(&s, &graph), GRAPH_E_LARGE);
	cr_assert_eq(read_lines("Op x -> y a=[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]"), 0);
}

Test(onnxruntime_graph, the_visitor_may_stop)
{
	struct fake_message m = fake_model("Relu a -> b\nRelu b -> c", 17);
	struct seen s = {.answer = GRAPH_E_STOPPED};

	cr_assert_eq(read_model(&s, &m), GRAPH_E_STOPPED);
	cr_assert_str_eq(s.nodes, "::Relu b(a;)\n");
}

static int read_once(void *data)
{
	struct graph_visitor visitor = {on_opset, on_constant, on_node, NULL};
	struct seen s = {0};
	int e;

	visitor.data = &s;
	e = graph_read(*(int *)data, &visitor);
	cr_assert(e == 0 || e == -ENOMEM, "%d", e);
	return e;
}

Test(onnxruntime_graph, without_memory)
{
	struct fake_message m = fake_model("= a i64 [1] 1\nAdd a,b -> c d=1 e=2\nRelu c -> d", 17);
	int fd = fake_file(m.data, m.n);

	FAULT_LOOP_KINDS(read_once, &fd, FAIL_ALLOCATIONS);
	close(fd);
	fake_free(&m);
}

Test(onnxruntime_graph, a_descriptor_that_cannot_be_read)
{
	struct graph_visitor visitor = {on_opset, on_constant, on_node, NULL};

	cr_assert_eq(graph_read(-1, &visitor), -EBADF);
}
