/*
 * probe_table.c: rows, medians and random data. Nothing here knows of CUDA or of processes.
 * Asker and children, one thread each.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "tests/gpu/probe.h"

void table_heading(const char *title)
{
	printf("\n### %s\n\n| what | value | unit | |\n|---|---|---|---|\n", title);
}

void table_row(struct table *t, const struct row *r)
{
	if (r->kind == ROW_MARK)
		return;
	t->n_rows++;
	t->n_bad += r->kind == ROW_BAD;
	if (r->kind == ROW_VALUE)
		printf("| %s | %.4g | %s | %s |\n", r->what, r->value, r->unit, r->note);
	else
		printf("| %s | %s%s | %s | %s |\n", r->what, r->kind == ROW_BAD ? "BAD DATA: " : "",
			r->text, r->unit, r->note);
	fflush(stdout);
}

void table_value(
	struct table *t, const char *what, double value, const char *unit, const char *note)
{
	struct row row = {.kind = ROW_VALUE, .value = value};

	snprintf(row.what, sizeof(row.what), "%s", what);
	snprintf(row.unit, sizeof(row.unit), "%s", unit);
	snprintf(row.note, sizeof(row.note), "%s", note ? note : "");
	table_row(t, &row);
}

void table_text(struct table *t, const char *what, const char *text)
{
	struct row row = {.kind = ROW_TEXT};

	snprintf(row.what, sizeof(row.what), "%s", what);
	snprintf(row.text, sizeof(row.text), "%s", text);
	table_row(t, &row);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

double median(double *values, size_t n)
{
	qsort(values, n, sizeof(*values), compare);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* The finaliser of splitmix64: each word by itself, so that the compiler can vectorise. */
static uint64_t word(uint64_t seed, uint64_t at)
{
	uint64_t z = seed + (at + 1) * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

void data_fill(void *data, uint64_t bytes, uint64_t seed)
{
	uint64_t *words = data;

	for (uint64_t i = 0; i < bytes / sizeof(*words); i++)
		words[i] = word(seed, i);
}

uint64_t data_check(const void *data, uint64_t bytes, uint64_t seed)
{
	const uint64_t *words = data;

	for (uint64_t i = 0; i < bytes / sizeof(*words); i++) {
		if (words[i] != word(seed, i))
			return i * sizeof(*words);
	}
	return bytes;
}

uint64_t random_seed(void)
{
	uint64_t seed;

	return getrandom(&seed, sizeof(seed), 0) == (ssize_t)sizeof(seed) ? seed : clock_ns();
}

bool parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value)
{
	char *end;
	unsigned long long value;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || *end || value < min || value > max)
		return false;
	*ret_value = value;
	return true;
}
