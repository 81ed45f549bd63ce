/*
 * config_fuzz.c: any bytes as a configuration file and as the options that follow it. Lines that
 * begin with '!' become --set, the rest is the file. What is accepted must print as something that
 * is accepted again and prints the same.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static char text[256];

static char *print(const struct config *c)
{
	char *out = NULL;
	size_t n;
	FILE *f = open_memstream(&out, &n);

	assert(f);
	config_print(c, f);
	fclose(f);
	return out;
}

static int set_all(struct config *c, char *lines)
{
	char *rest;
	int r = 0;

	for (char *l = strtok_r(lines, "\n", &rest); l && !r; l = strtok_r(NULL, "\n", &rest))
		r = *l == '!' ? config_set(c, l + 1, text, sizeof(text)) : 0;
	return r;
}

/* The file without the lines that are options. */
static size_t cut_options(char *file, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n;) {
		const char *end = memchr(file + i, '\n', n - i);
		size_t length = end ? (size_t)(end - (file + i)) + 1 : n - i;

		if (file[i] != '!') {
			memmove(file + kept, file + i, length);
			kept += length;
		}
		i += length;
	}
	return kept;
}

/* Reading what was printed gives the same; a line may be too long for a file, though. */
static void check_again(const char *printed)
{
	struct config c;
	char *again;
	int r;

	assert(!config_init(&c));
	r = config_load_memory(&c, "again", printed, strlen(printed), text, sizeof(text));
	if (r == CONFIG_E_INVALID && strstr(text, "line is longer")) {
		config_release(&c);
		return;
	}
	if (!r)
		r = config_finish(&c, text, sizeof(text));
	if (r) {
		fprintf(stderr, "%s\n%s", text, printed);
		abort();
	}
	again = print(&c);
	assert(!strcmp(again, printed));
	free(again);
	config_release(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *file = malloc(n + 1), *options = malloc(n + 1), *printed;
	struct config c;
	int r;

	assert(file && options);
	memcpy(file, data, n);
	memcpy(options, data, n);
	options[n] = 0;
	assert(!config_init(&c));
	r = config_load_memory(&c, "fuzz", file, cut_options(file, n), text, sizeof(text));
	if (!r)
		r = set_all(&c, options);
	if (!r)
		r = config_finish(&c, text, sizeof(text));
	assert(r == 0 || r == CONFIG_E_INVALID);
	if (!r) {
		printed = print(&c);
		check_again(printed);
		free(printed);
	}
	config_release(&c);
	free(file);
	free(options);
	return 0;
}
