/* repository_diff.c: what is served against what the repository says. Daemon process. */
#include "repository_diff.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* n_now where there is none of that name. */
static size_t find_now(const struct version_settings *const *now, size_t n_now, const char *name)
{
	size_t i = 0;

	while (i < n_now && strcmp(now[i]->name, name) != 0)
		i++;
	return i;
}

static int compare_name(const void *key, const void *element)
{
	return strcmp(key, ((const struct version_settings *)element)->name);
}

/* Is it there, right or wrong? */
static bool is_wanted(const struct repository *r, const char *name)
{
	size_t n, n_errors;
	const struct version_settings *models = repository_models(r, &n);
	const struct repository_error *errors = repository_errors(r, &n_errors);

	for (size_t i = 0; i < n_errors; i++) {
		if (!strcmp(errors[i].name, name))
			return true;
	}
	return n > 0 && bsearch(name, models, n, sizeof(*models), compare_name);
}

void repository_diff(const struct version_settings *const *now, size_t n_now,
	const struct repository *wanted,
	void (*on_change)(void *data, enum repository_change change, size_t index,
		const struct version_settings *new),
	void *data)
{
	size_t n;
	const struct version_settings *models = repository_models(wanted, &n);

	for (size_t i = 0; i < n; i++) {
		if (find_now(now, n_now, models[i].name) == n_now)
			on_change(data, REPOSITORY_ADD, n_now, &models[i]);
	}
	for (size_t i = 0; i < n; i++) {
		size_t at = find_now(now, n_now, models[i].name);

		if (at < n_now && !version_settings_equal(now[at], &models[i]))
			on_change(data, REPOSITORY_REPLACE, at, &models[i]);
	}
	for (size_t i = 0; i < n_now; i++) {
		if (!is_wanted(wanted, now[i]->name))
			on_change(data, REPOSITORY_REMOVE, i, NULL);
	}
}
