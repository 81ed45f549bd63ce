/* config_source.c: reads the configuration from where it comes. Daemon process, any thread. */
#include "config_source.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* All of them, one after the other: what is wrong with one is added to what is wrong with others. */
static int set_all(
	struct config *c, const char *const *sets, size_t n, int r, char *text, size_t cap)
{
	for (size_t i = 0; (!r || r == CONFIG_E_INVALID) && i < n; i++) {
		size_t have = r ? strlen(text) : 0;
		size_t at = have > 0 && have + 1 < cap ? have + 1 : have;
		int e = config_set(c, sets[i], text + at, cap - at);

		if (e == CONFIG_E_INVALID && at > have)
			text[have] = '\n';
		r = e ? e : r;
	}
	return r;
}

static size_t count(const char *const *sets)
{
	size_t n = 0;

	while (sets && sets[n])
		n++;
	return n;
}

int config_source_read(
	const struct config_source *s, struct config *ret_config, char *text, size_t cap)
{
	int r = config_init(ret_config);

	if (!r && s->file)
		r = config_load_file(ret_config, s->file, text, cap);
	r = set_all(ret_config, s->before, count(s->before), r, text, cap);
	r = set_all(ret_config, s->sets, s->n_sets, r, text, cap);
	return r ? r : config_finish(ret_config, text, cap);
}
