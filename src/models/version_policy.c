/* version_policy.c: which of a model's versions are served. Daemon process, any thread. */
#include "models/version_policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/digits.h"

#define LATEST	  "latest"
#define COUNT_MAX 1000000u

bool version_number_parse(const char *text, uint64_t *ret_number)
{
	uint64_t n;

	if (*text == '0' || decimal_parse(text, &n) || n == 0 || n > INT64_MAX)
		return false;
	*ret_number = n;
	return true;
}

void version_policy_release(struct version_policy *p)
{
	free(p->numbers);
	*p = (struct version_policy){0};
}

/* "latest", "latest 3" */
static int parse_latest(struct version_policy *p, const char *text)
{
	const char *at = text + strlen(LATEST);
	uint64_t count = 1;

	if (*at) {
		if (*at != ' ' && *at != '\t')
			return VERSION_POLICY_E_INVALID;
		at += strspn(at, " \t");
		if (!version_number_parse(at, &count) || count > COUNT_MAX)
			return VERSION_POLICY_E_INVALID;
	}
	*p = (struct version_policy){.kind = VERSION_POLICY_LATEST, .count = (uint32_t)count};
	return 0;
}

static int add_number(struct version_policy *p, const char *text)
{
	uint64_t number;
	uint64_t *all;

	if (!version_number_parse(text, &number))
		return VERSION_POLICY_E_INVALID;
	all = realloc(p->numbers, (p->n_numbers + 1) * sizeof(*all));
	if (!all)
		return -ENOMEM;
	p->numbers = all;
	all[p->n_numbers++] = number;
	return 0;
}

static int parse_numbers(struct version_policy *p, const char *text)
{
	_cleanup_(version_policy_release) struct version_policy numbers = {
		.kind = VERSION_POLICY_SPECIFIC};
	_cleanup_(freep) char *copy = strdup(text);
	char *rest = copy;
	int r = copy ? 0 : -ENOMEM;

	while (!r && rest) {
		char *one = strsep(&rest, ",");
		size_t n;

		one += strspn(one, " \t");
		n = strcspn(one, " \t");
		if (one[n + strspn(one + n, " \t")])
			return VERSION_POLICY_E_INVALID;
		one[n] = 0;
		r = add_number(&numbers, one);
	}
	if (!r) {
		*p = numbers;
		numbers.numbers = NULL;
	}
	return r;
}

int version_policy_parse(struct version_policy *p, const char *text)
{
	struct version_policy parsed = {0};
	int r = 0;

	if (!strncmp(text, LATEST, strlen(LATEST)))
		r = parse_latest(&parsed, text);
	else if (!strcmp(text, "all"))
		parsed.kind = VERSION_POLICY_ALL;
	else
		r = parse_numbers(&parsed, text);
	if (r)
		return r;
	version_policy_release(p);
	*p = parsed;
	return 0;
}

bool version_policy_has(const struct version_policy *p, uint64_t number, size_t rank)
{
	if (p->kind == VERSION_POLICY_ALL)
		return true;
	if (p->kind == VERSION_POLICY_LATEST)
		return rank < (p->count > 0 ? p->count : 1);
	for (size_t i = 0; i < p->n_numbers; i++) {
		if (p->numbers[i] == number)
			return true;
	}
	return false;
}
