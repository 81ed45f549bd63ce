/* version_diff.c: what is served against what is wanted. Daemon process. */
#include "models/version_diff.h"

#include <stdbool.h>
#include <string.h>

typedef const struct version_settings *const *settings_list;

/* n where there is none of that number. */
static size_t find(settings_list list, size_t n, const char *version)
{
	size_t i = 0;

	while (i < n && strcmp(list[i]->version, version) != 0)
		i++;
	return i;
}

/* The rank-th of `list` whose number is not in `other`; n: there are not so many. */
static size_t find_unpaired(
	settings_list list, size_t n, settings_list other, size_t n_other, size_t rank)
{
	for (size_t i = 0; i < n; i++) {
		if (find(other, n_other, list[i]->version) == n_other && rank-- == 0)
			return i;
	}
	return n;
}

/* How many before `end` have no counterpart. */
static size_t rank_of(settings_list list, size_t end, settings_list other, size_t n_other)
{
	size_t rank = 0;

	for (size_t i = 0; i < end; i++)
		rank += find(other, n_other, list[i]->version) == n_other;
	return rank;
}

void version_diff(settings_list now, size_t n_now, settings_list wanted, size_t n_wanted,
	void (*on_change)(void *data, enum version_change change, size_t index,
		const struct version_settings *new),
	void *data)
{
	size_t n_unpaired = rank_of(wanted, n_wanted, now, n_now);

	for (size_t i = 0; i < n_wanted; i++) {
		size_t at = find(now, n_now, wanted[i]->version);
		bool same = at < n_now && version_settings_equal(now[at], wanted[i]);

		if (at == n_now)
			at = find_unpaired(
				now, n_now, wanted, n_wanted, rank_of(wanted, i, now, n_now));
		on_change(data,
			same	      ? VERSION_KEEP
			: at == n_now ? VERSION_ADD
				      : VERSION_REPLACE,
			at, wanted[i]);
	}
	for (size_t i = 0; i < n_now; i++) {
		if (find(wanted, n_wanted, now[i]->version) == n_wanted &&
			rank_of(now, i, wanted, n_wanted) >= n_unpaired)
			on_change(data, VERSION_REMOVE, i, NULL);
	}
}
