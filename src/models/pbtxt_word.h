/* pbtxt_word.h: a word of protobuf's text format as what it stands for. */
#ifndef MODELS_PBTXT_WORD_H
#define MODELS_PBTXT_WORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

/* A piece of the input: borrowed, without a NUL at its end. */
struct pbtxt_word {
	const char *data;
	size_t n;
};

bool pbtxt_word_is(struct pbtxt_word w, const char *text);
/* A number, a bool or an enumerator for f, as its 64 bits. False: it is no value of f. */
bool pbtxt_word_integer(const ProtobufCFieldDescriptor *f, struct pbtxt_word w, uint64_t *ret_v);
/* False: it is no number. */
bool pbtxt_word_real(struct pbtxt_word w, double *ret_v);

#endif
