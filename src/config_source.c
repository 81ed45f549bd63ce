/* config_source.c: reads the configuration from where it comes. Daemon process, any thread. */
#include "config_source.h"

#include <errno.h>

int config_source_read(
	const struct config_source *s, struct config *ret_config, char *text, size_t cap)
{
	int r = config_init(ret_config);

	if (!r && s->file)
		r = config_load_file(ret_config, s->file, text, cap);
	for (size_t i = 0; !r && s->before && s->before[i]; i++)
		r = config_set(ret_config, s->before[i], text, cap);
	for (size_t i = 0; !r && i < s->n_sets; i++)
		r = config_set(ret_config, s->sets[i], text, cap);
	return r ? r : config_finish(ret_config, text, cap);
}
