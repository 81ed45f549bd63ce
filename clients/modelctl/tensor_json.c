/* tensor_json.c: nested lists, read once, without recursion. modelctl, one thread. */
#include "clients/modelctl/tensor_json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "clients/modelctl/tensor_value.h"

#define SHOWN_MAX 40 /* bytes of a value that is named */

struct reading {
	struct tensor *t;	/* borrow: dtype; rank and dims as far as they are known */
	struct json_reader *in; /* borrow */
	struct buf out;		/* own */
	uint64_t n_elements;
	size_t depth;			/* lists that are open */
	int64_t count[TENSOR_RANK_MAX]; /* members so far, of each */
	bool has_rank; /* an element, or the end of a list, said how deep they are */
	bool has_dim[TENSOR_RANK_MAX]; /* a list ended there */
	char *text;		       /* borrow: the sentence */
	size_t cap;
};

static int malformed(struct reading *x)
{
	(void)snprintf(x->text, x->cap, "malformed JSON in line %zu", json_read_line(x->in));
	return -EINVAL;
}

static int failed(struct reading *x, int r)
{
	(void)snprintf(x->text, x->cap, "%s",
		r == -ENOBUFS ? "it is beyond the limit of 4 GiB" : err_str(r));
	return r == -ENOBUFS ? -EINVAL : r;
}

static int put_string(struct reading *x)
{
	uint32_t length = 0;
	size_t at = x->out.len;
	int r = buf_append(&x->out, &length, sizeof(length));

	if (!r)
		r = json_read_string(x->in, &x->out);
	if (r)
		return r == -EINVAL ? malformed(x) : failed(x, r);
	length = (uint32_t)(x->out.len - at - sizeof(length));
	memcpy(x->out.data + at, &length, sizeof(length));
	return 0;
}

static int misfit(struct reading *x, const char *value, size_t n)
{
	(void)snprintf(x->text, x->cap, "element %" PRIu64 ": %.*s is not what %s holds: %s",
		x->n_elements, (int)(n < SHOWN_MAX ? n : SHOWN_MAX), value, dtype_name(x->t->dtype),
		tensor_holds(x->t->dtype));
	return -EINVAL;
}

static int put_element(struct reading *x)
{
	bool is_text = x->t->dtype == DTYPE_BYTES;
	enum json_kind kind = json_read_kind(x->in);
	uint8_t element[8];
	const char *word;
	size_t n;
	int r;

	if (is_text && kind == JSON_STRING)
		return put_string(x);
	if (kind == JSON_OBJECT)
		return misfit(x, "an object", strlen("an object"));
	if (kind == JSON_STRING)
		return misfit(x, "a text", strlen("a text"));
	if (json_read_word(x->in, &word, &n))
		return malformed(x);
	if (is_text || tensor_put_text(x->t->dtype, element, word, n))
		return misfit(x, word, n);
	r = buf_append(&x->out, element, dtype_size(x->t->dtype));
	return r ? failed(x, r) : 0;
}

static int ragged(struct reading *x, const char *what)
{
	(void)snprintf(x->text, x->cap, "the lists are of no one shape: %s in line %zu", what,
		json_read_line(x->in));
	return -EINVAL;
}

static int open_list(struct reading *x)
{
	if (x->has_rank && x->depth == x->t->rank)
		return ragged(x, "a list among elements");
	if (x->depth == TENSOR_RANK_MAX) {
		(void)snprintf(x->text, x->cap, "lists are nested deeper than %d", TENSOR_RANK_MAX);
		return -EINVAL;
	}
	x->count[x->depth++] = 0;
	return json_read_enter(x->in, '[');
}

/* An element, or the end of an empty list, stands at this depth. */
static int note_rank(struct reading *x)
{
	if (!x->has_rank)
		x->t->rank = (uint32_t)x->depth;
	x->has_rank = true;
	return x->depth == x->t->rank ? 0 : ragged(x, "an element among lists");
}

static int close_list(struct reading *x)
{
	size_t at = --x->depth;
	int64_t n = x->count[at];

	if (x->has_dim[at] && x->t->dims[at] != n)
		return ragged(x, "a list of another length");
	x->has_dim[at] = true;
	x->t->dims[at] = n;
	return 0;
}

/* A list is entered, or an element is read. */
static int take_value(struct reading *x)
{
	int r;

	if (json_read_kind(x->in) == JSON_ARRAY)
		return open_list(x);
	r = note_rank(x);
	if (!r)
		r = put_element(x);
	x->n_elements++;
	return r;
}

/* Until all lists are closed. */
static int take_members(struct reading *x)
{
	int r = 0;

	while (!r && x->depth > 0) {
		int64_t *count = &x->count[x->depth - 1];
		int more = json_read_more(x->in, '[', *count == 0);

		if (more < 0)
			return malformed(x);
		if (more == 0) {
			if (*count == 0)
				r = note_rank(x);
			if (!r)
				r = close_list(x);
			continue;
		}
		(*count)++;
		r = take_value(x);
	}
	return r;
}

int tensor_from_json(struct tensor *t, struct json_reader *in, char *text, size_t cap)
{
	struct tensor made = {.dtype = t->dtype, .has_shape = true};
	struct reading x = {.t = &made, .in = in, .text = text, .cap = cap};
	int r;

	buf_init(&x.out, TENSOR_BYTES_MAX);
	r = buf_reserve(&x.out, 1); /* no elements are data too */
	if (r)
		r = failed(&x, r);
	if (!r)
		r = take_value(&x);
	if (!r)
		r = take_members(&x);
	if (!r) {
		made.n = x.out.len;
		made.data = steal_ptr(x.out.data);
		buf_init(&x.out, 0);
		*t = made;
	}
	buf_deinit(&x.out);
	return r;
}
