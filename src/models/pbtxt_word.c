/* pbtxt_word.c: what a word of the text format stands for. Pure. */
#include "models/pbtxt_word.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 64u /* characters of a number */

bool pbtxt_word_is(struct pbtxt_word w, const char *text)
{
	return w.n == strlen(text) && !memcmp(w.data, text, w.n);
}

/* NUL-terminated, for strtoull() and its kind. False: too long for any number. */
static bool copy_word(struct pbtxt_word w, char out[NUMBER_MAX])
{
	if (w.n == 0 || w.n >= NUMBER_MAX)
		return false;
	memcpy(out, w.data, w.n);
	out[w.n] = 0;
	return true;
}

static bool parse_signed(struct pbtxt_word w, int64_t min, int64_t max, uint64_t *ret_v)
{
	char digits[NUMBER_MAX];
	char *end;
	long long v;

	if (!copy_word(w, digits) || *digits == '+')
		return false;
	errno = 0;
	v = strtoll(digits, &end, 0);
	if (errno || *end || v < min || v > max)
		return false;
	*ret_v = (uint64_t)v;
	return true;
}

static bool parse_unsigned(struct pbtxt_word w, uint64_t max, uint64_t *ret_v)
{
	char digits[NUMBER_MAX];
	char *end;
	unsigned long long v;

	if (!copy_word(w, digits) || !isdigit((unsigned char)*digits))
		return false;
	errno = 0;
	v = strtoull(digits, &end, 0);
	if (errno || *end || v > max)
		return false;
	*ret_v = v;
	return true;
}

static bool parse_bool(struct pbtxt_word w, uint64_t *ret_v)
{
	bool yes = pbtxt_word_is(w, "true") || pbtxt_word_is(w, "t") || pbtxt_word_is(w, "True") ||
		   pbtxt_word_is(w, "1");

	*ret_v = yes;
	return yes || pbtxt_word_is(w, "false") || pbtxt_word_is(w, "f") ||
	       pbtxt_word_is(w, "False") || pbtxt_word_is(w, "0");
}

static bool parse_enum(const ProtobufCEnumDescriptor *type, struct pbtxt_word w, uint64_t *ret_v)
{
	for (unsigned i = 0; i < type->n_values; i++) {
		if (!pbtxt_word_is(w, type->values[i].name))
			continue;
		*ret_v = (uint64_t)(int64_t)type->values[i].value;
		return true;
	}
	return parse_signed(w, 0, INT32_MAX, ret_v) &&
	       protobuf_c_enum_descriptor_get_value(type, (int)*ret_v);
}

bool pbtxt_word_integer(const ProtobufCFieldDescriptor *f, struct pbtxt_word w, uint64_t *ret_v)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
		return parse_signed(w, INT32_MIN, INT32_MAX, ret_v);
	case PROTOBUF_C_TYPE_INT64:
		return parse_signed(w, INT64_MIN, INT64_MAX, ret_v);
	case PROTOBUF_C_TYPE_UINT32:
		return parse_unsigned(w, UINT32_MAX, ret_v);
	case PROTOBUF_C_TYPE_UINT64:
		return parse_unsigned(w, UINT64_MAX, ret_v);
	case PROTOBUF_C_TYPE_BOOL:
		return parse_bool(w, ret_v);
	case PROTOBUF_C_TYPE_ENUM:
		return parse_enum(f->descriptor, w, ret_v);
	default:
		return false;
	}
}

bool pbtxt_word_real(struct pbtxt_word w, double *ret_v)
{
	char digits[NUMBER_MAX];
	char *end;

	if (!copy_word(w, digits))
		return false;
	*ret_v = strtod(digits, &end);
	return end > digits && (!*end || !strcmp(end, "f"));
}
