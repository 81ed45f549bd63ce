/* config_environment.c: ${NAME} and ${NAME:-text} in values. Daemon process. */
#include "config_environment.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

#define NAME_MAX_ 128u

struct expansion {
	char out[CONFIG_ENVIRONMENT_MAX + 1];
	size_t n;
	char *text; /* borrow */
	size_t cap;
};

const char *config_unfit_for_file(const char *value)
{
	if (*value && (isspace((unsigned char)*value) ||
			      isspace((unsigned char)value[strlen(value) - 1])))
		return "must not begin or end with a space";
	for (const char *at = value; *at; at++) {
		if (iscntrl((unsigned char)*at))
			return "must not contain control characters";
		if (*at == ';' && (at == value || isspace((unsigned char)at[-1])))
			return "must not contain ' ;', which begins a comment";
	}
	return NULL;
}

static int append(struct expansion *x, const char *from, size_t n)
{
	if (n > CONFIG_ENVIRONMENT_MAX - x->n) {
		snprintf(x->text, x->cap, "is longer than %u bytes with its variables",
			CONFIG_ENVIRONMENT_MAX);
		return CONFIG_E_INVALID;
	}
	memcpy(x->out + x->n, from, n);
	x->n += n;
	return 0;
}

static size_t name_length(const char *at)
{
	size_t n = 0;

	while (isalnum((unsigned char)at[n]) || at[n] == '_')
		n++;
	return isdigit((unsigned char)*at) || n > NAME_MAX_ ? 0 : n;
}

/* at: behind ${. The variable's end is its }. */
static int append_variable(struct expansion *x, const char *at, const char *end)
{
	size_t n = name_length(at);
	const char *behind = at + n, *said;
	char name[NAME_MAX_ + 1];

	if (!n || (behind != end && strncmp(behind, ":-", 2))) {
		snprintf(x->text, x->cap, "${%.*s} is neither ${NAME} nor ${NAME:-text}",
			(int)(end - at), at);
		return CONFIG_E_INVALID;
	}
	memcpy(name, at, n);
	name[n] = 0;
	said = getenv(name);
	if (said && *said)
		return append(x, said, strlen(said));
	if (behind != end)
		return append(x, behind + 2, (size_t)(end - behind) - 2);
	snprintf(x->text, x->cap,
		"the environment has no %s; ${%s:-text} says what is meant without it", name, name);
	return CONFIG_E_INVALID;
}

static int expand(struct expansion *x, const char *value)
{
	for (const char *at = value; *at;) {
		const char *begin = strstr(at, "${"), *end;
		size_t plain = begin ? (size_t)(begin - at) : strlen(at);
		int r = append(x, at, plain);

		if (r || !begin)
			return r;
		end = strchr(begin, '}');
		if (!end) {
			snprintf(x->text, x->cap, "${ has no }");
			return CONFIG_E_INVALID;
		}
		r = append_variable(x, begin + 2, end);
		if (r)
			return r;
		at = end + 1;
	}
	return 0;
}

/* What a variable says is from elsewhere. */
static int check_expanded(const struct expansion *x)
{
	const char *unfit = config_unfit_for_file(x->out);

	if (!unfit && strstr(x->out, "${"))
		unfit = "must not contain ${";
	if (!unfit)
		return 0;
	snprintf(x->text, x->cap, "with its variables it %s", unfit);
	return CONFIG_E_INVALID;
}

int config_environment_expand(const char *value, char **ret_value, char *text, size_t cap)
{
	struct expansion x = {.text = text, .cap = cap};
	int r;

	if (strstr(value, "${")) {
		r = expand(&x, value);
		x.out[x.n] = 0;
		if (!r)
			r = check_expanded(&x);
		if (r)
			return r;
		value = x.out;
	}
	*ret_value = strdup(value);
	return *ret_value ? 0 : -ENOMEM;
}
