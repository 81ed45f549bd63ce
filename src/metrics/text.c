/* text.c: the text format, without printf(): a page has tens of thousands of numbers. */
#include "metrics/text.h"

#include <string.h>

#include "base/digits.h"

void text_init(struct text *t, size_t max_bytes)
{
	buf_init(&t->buf, max_bytes);
	t->error = 0;
}

void text_deinit(struct text *t)
{
	buf_deinit(&t->buf);
}

static void append(struct text *t, const char *s, size_t n)
{
	int r = t->error ? 0 : buf_append(&t->buf, s, n);

	if (r)
		t->error = r;
}

void text_add(struct text *t, const char *s)
{
	append(t, s, strlen(s));
}

/* value / 10^digits, without the zeros at the end. */
static void add_fraction(struct text *t, uint64_t value, unsigned digits)
{
	char out[DECIMAL_MAX + 1];
	uint64_t scale = 1;
	unsigned n = digits;

	for (unsigned i = 0; i < digits; i++)
		scale *= 10;
	append(t, out, decimal_write(out, value / scale));
	value %= scale;
	if (value == 0)
		return;
	for (unsigned i = n; i > 0; i--, value /= 10)
		out[i] = (char)('0' + value % 10);
	out[0] = '.';
	while (out[n] == '0')
		n--;
	append(t, out, n + 1);
}

void text_number(struct text *t, uint64_t value, enum text_unit unit)
{
	static const unsigned digits[] = {
		[TEXT_PLAIN] = 0,
		[TEXT_SECONDS] = 9,
		[TEXT_MICROSECONDS] = 3,
		[TEXT_MILLI] = 3,
		[TEXT_CENTI] = 2,
	};

	add_fraction(t, value, digits[unit]);
}

static void add_escaped(struct text *t, const char *s)
{
	for (;;) {
		size_t n = strcspn(s, "\\\"\n");

		append(t, s, n);
		s += n;
		if (*s == '\0')
			return;
		text_add(t, *s == '\n' ? "\\n" : *s == '"' ? "\\\"" : "\\\\");
		s++;
	}
}

void text_label(struct text *t, const char *key, const char *value)
{
	if (t->buf.len > 0)
		text_add(t, ",");
	text_add(t, key);
	text_add(t, "=\"");
	add_escaped(t, value);
	text_add(t, "\"");
}

void text_family(struct text *t, const char *name, const char *type, const char *help)
{
	text_add(t, "# HELP ");
	text_add(t, name);
	text_add(t, " ");
	text_add(t, help);
	text_add(t, "\n# TYPE ");
	text_add(t, name);
	text_add(t, " ");
	text_add(t, type);
	text_add(t, "\n");
}

/* `name_suffix{labels,more` and what else: the brace stays open where there is one. */
static void begin(
	struct text *t, const char *name, const char *suffix, const char *labels, const char *more)
{
	text_add(t, name);
	text_add(t, suffix);
	if (!*labels && !*more)
		return;
	text_add(t, "{");
	text_add(t, labels);
	if (*labels && *more)
		text_add(t, ",");
	text_add(t, more);
}

static void end(struct text *t, const char *close, uint64_t value, enum text_unit unit)
{
	text_add(t, close);
	text_number(t, value, unit);
	text_add(t, "\n");
}

void text_sample(struct text *t, const char *name, const char *labels, const char *more,
	uint64_t value, enum text_unit unit)
{
	begin(t, name, "", labels, more);
	end(t, *labels || *more ? "} " : " ", value, unit);
}

static void add_bucket(struct text *t, const char *name, const char *labels, const char *more,
	uint64_t bound, enum text_unit unit, uint64_t count)
{
	begin(t, name, "_bucket", labels, more);
	text_add(t, *labels || *more ? ",le=\"" : "{le=\"");
	if (bound > 0)
		text_number(t, bound, unit);
	else
		text_add(t, "+Inf");
	end(t, "\"} ", count, TEXT_PLAIN);
}

void text_histogram(struct text *t, const char *name, const char *labels, const char *more,
	const struct histogram *h, unsigned shift)
{
	enum text_unit unit = shift == HISTOGRAM_SHIFT_NS ? TEXT_SECONDS : TEXT_PLAIN;
	const char *close = *labels || *more ? "} " : " ";
	uint64_t count = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		count += h->counts[i];
		add_bucket(t, name, labels, more,
			i + 1 < HISTOGRAM_BUCKETS ? histogram_bound(shift, i) : 0, unit, count);
	}
	begin(t, name, "_sum", labels, more);
	end(t, close, h->sum, unit);
	begin(t, name, "_count", labels, more);
	end(t, close, count, TEXT_PLAIN);
}
