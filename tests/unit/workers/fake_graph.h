/*
 * fake_graph.h: ONNX files made of a few lines of text, for tests of what reads them.
 *
 *   = c i64 [2] 1 2              a constant: i64, i32, f32, bool; [] is a scalar; elements may be left out
 *   Add x,c -> y                 a node; `,,` leaves an input out
 *   Softmax x -> y axis=-1       attributes: a number,
 *   Squeeze x -> y axes=[1,2]    a list, 'a text', or a tensor of numbers: <1,2>
 *   ai.onnx.ml::Scaler x -> y    of another domain
 */
#ifndef TESTS_UNIT_WORKERS_FAKE_GRAPH_H
#define TESTS_UNIT_WORKERS_FAKE_GRAPH_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of a protobuf message under construction. */
struct fake_message {
	uint8_t *data; /* own */
	size_t n;
};

void fake_varint(struct fake_message *m, uint32_t field, uint64_t value);
void fake_bytes(struct fake_message *m, uint32_t field, const void *data, size_t n);
void fake_string(struct fake_message *m, uint32_t field, const char *text);
/* Put `part` in as a message, and free it. */
void fake_part(struct fake_message *m, uint32_t field, struct fake_message *part);
void fake_free(struct fake_message *m);

/* A model of these lines. */
struct fake_message fake_model(const char *lines, int64_t opset);
/* Its bytes in a file in memory; the caller closes it. */
int fake_file(const void *data, size_t n);

#endif
