/* Holds config_keys.c and conf/modeld.conf together: same keys, same order, same defaults. */
#include <criterion/criterion.h>
#include <ini.h>
#include <string.h>

#include "config_private.h"

static const char path[] = "conf/modeld.conf";

/* Where the shipped file says something else than the default, on purpose. */
static const char *const differs[][4] = {
	{"models", "default", "", "digits"},
};

struct walk {
	size_t n;
};

static const char *shipped(const struct config_key *k)
{
	for (size_t i = 0; i < sizeof(differs) / sizeof(differs[0]); i++) {
		if (strcmp(differs[i][0], k->section) || strcmp(differs[i][1], k->name))
			continue;
		cr_expect_str_eq(k->value, differs[i][2]);
		return differs[i][3];
	}
	return k->value;
}

static int on_key(void *user, const char *section, const char *name, const char *value)
{
	struct walk *w = user;
	const struct config_key *k = &config_keys[w->n];

	cr_assert(w->n < config_n_keys, "[%s] %s is not in config_keys.c", section, name);
	cr_assert_str_eq(section, k->section, "[%s] %s, expected [%s] %s", section, name,
		k->section, k->name);
	cr_assert_str_eq(name, k->name);
	cr_expect_str_eq(value, shipped(k), "[%s] %s", section, name);
	w->n++;
	return 1;
}

Test(config_keys, the_shipped_file_has_every_key_and_its_default)
{
	struct walk w = {0};

	cr_assert_eq(ini_parse(path, on_key, &w), 0);
	cr_assert_eq(w.n, config_n_keys, "%s lacks [%s] %s", path, config_keys[w.n].section,
		config_keys[w.n].name);
}

/* A comment stands above each key, or above the key before it when they are explained together. */
Test(config_keys, every_section_is_commented)
{
	char line[256], section[64] = "";
	size_t comments = 0, keys = 0;
	FILE *f = fopen(path, "re");

	cr_assert_not_null(f);
	while (fgets(line, sizeof(line), f)) {
		comments += *line == ';';
		keys += strchr(line, '=') && *line != ';';
		if (*line == '[')
			snprintf(section, sizeof(section), "%.60s", line);
	}
	fclose(f);
	cr_expect(comments > keys / 2, "%zu comments for %zu keys", comments, keys);
	cr_expect_eq(keys, config_n_keys);
}

Test(config_keys, every_default_is_valid)
{
	struct config c;
	char text[512];

	cr_assert_eq(config_init(&c), 0);
	for (size_t i = 0; i < config_n_keys; i++)
		cr_expect_eq(config_store_value(
				     &c, &config_keys[i], config_keys[i].value, text, sizeof(text)),
			0, "[%s] %s: %s", config_keys[i].section, config_keys[i].name, text);
	config_release(&c);
}

Test(config_keys, the_shipped_file_loads)
{
	struct config c;
	char text[512] = "";

	cr_assert_eq(config_init(&c), 0);
	cr_expect_eq(config_load_file(&c, path, text, sizeof(text)), 0, "%s", text);
	cr_expect_eq(config_finish(&c, text, sizeof(text)), 0, "%s", text);
	cr_expect_eq(c.models.repositories[0][0], '/');
	cr_expect_not_null(strstr(c.models.repositories[0], "/conf/models"));
	cr_expect_str_eq(c.dispatch.default_model, "digits");
	config_release(&c);
}
