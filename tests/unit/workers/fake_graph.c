/* fake_graph.c: see fake_graph.h. */
#include "tests/unit/workers/fake_graph.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define WORD_MAX 128

static void put(struct fake_message *m, const void *data, size_t n)
{
	m->data = realloc(m->data, m->n + n + 1);
	cr_assert(m->data);
	memcpy(m->data + m->n, data, n);
	m->n += n;
}

static void put_varint(struct fake_message *m, uint64_t value)
{
	uint8_t byte;

	do {
		byte = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
		put(m, &byte, 1);
		value >>= 7;
	} while (value);
}

void fake_varint(struct fake_message *m, uint32_t field, uint64_t value)
{
	put_varint(m, (uint64_t)field << 3);
	put_varint(m, value);
}

void fake_bytes(struct fake_message *m, uint32_t field, const void *data, size_t n)
{
	put_varint(m, (uint64_t)field << 3 | 2);
	put_varint(m, n);
	put(m, data, n);
}

void fake_string(struct fake_message *m, uint32_t field, const char *text)
{
	fake_bytes(m, field, text, strlen(text));
}

void fake_part(struct fake_message *m, uint32_t field, struct fake_message *part)
{
	fake_bytes(m, field, part->data ? (void *)part->data : "", part->n);
	fake_free(part);
}

void fake_free(struct fake_message *m)
{
	free(m->data);
	*m = (struct fake_message){0};
}

/* The next word, up to one of `ends`; *at moves behind it and behind that character. */
static char *word(const char **at, const char *ends, char *to)
{
	size_t n;

	while (**at == ' ')
		(*at)++;
	n = strcspn(*at, ends);
	cr_assert_lt(n, WORD_MAX);
	memcpy(to, *at, n);
	to[n] = 0;
	*at += n + ((*at)[n] && (*at)[n] != '\n');
	return to;
}

static void element(struct fake_message *m, const char *type, const char *text)
{
	int64_t i = strtoll(text, NULL, 10);
	float f = strtof(text, NULL);

	if (!strcmp(type, "i64"))
		put(m, &i, 8);
	else if (!strcmp(type, "i32"))
		put(m, &i, 4);
	else if (!strcmp(type, "bool"))
		put(m, &i, 1);
	else
		put(m, &f, 4);
}

static uint64_t type_number(const char *type)
{
	if (!strcmp(type, "i64"))
		return 7;
	if (!strcmp(type, "i32"))
		return 6;
	return strcmp(type, "bool") ? 1 : 9;
}

static void constant(struct fake_message *graph, const char *line)
{
	struct fake_message tensor = {0}, raw = {0};
	char name[WORD_MAX], type[WORD_MAX], text[WORD_MAX];

	word(&line, " ", name);
	word(&line, " ", type);
	fake_varint(&tensor, 2, type_number(type));
	fake_string(&tensor, 8, name);
	line += strspn(line, " [");
	while (*line && line[-1] != ']')
		if (*word(&line, ",]", text))
			fake_varint(&tensor, 1, strtoull(text, NULL, 10));
	while (*line && *line != '\n')
		element(&raw, type, word(&line, " \n", text));
	fake_part(&tensor, 9, &raw);
	fake_part(graph, 5, &tensor);
}

static void numbers(struct fake_message *attribute, const char **at, const char *end)
{
	struct fake_message tensor = {0};
	char ends[] = {',', *end, 0}, text[WORD_MAX];
	unsigned n = 0;

	(*at)++;
	fake_varint(&tensor, 2, 7);
	while ((*at)[-1] != *end) {
		word(at, ends, text);
		if (*text && *end == ']')
			fake_varint(attribute, 8, (uint64_t)strtoll(text, NULL, 10));
		if (*text && *end == '>')
			fake_varint(&tensor, 7, (uint64_t)strtoll(text, NULL, 10));
		n += *text != 0;
	}
	fake_varint(&tensor, 1, n);
	if (*end == '>')
		fake_part(attribute, 5, &tensor);
	fake_free(&tensor);
}

static void attribute(struct fake_message *node, const char **at)
{
	struct fake_message m = {0};
	char text[WORD_MAX];

	fake_string(&m, 1, word(at, "=", text));
	if (**at == '[') {
		numbers(&m, at, "]");
	} else if (**at == '<') {
		numbers(&m, at, ">");
	} else if (**at == '\'') {
		(*at)++;
		fake_string(&m, 4, word(at, "'", text));
	} else {
		fake_varint(&m, 3, (uint64_t)strtoll(word(at, " \n", text), NULL, 10));
	}
	fake_part(node, 5, &m);
}

static void names(struct fake_message *node, uint32_t field, const char **at)
{
	char all[WORD_MAX], one[WORD_MAX];
	const char *p = word(at, " \n", all);

	for (bool more = *p; more;) {
		more = strchr(p, ',') != NULL;
		fake_string(node, field, word(&p, ",", one));
	}
}

static void node(struct fake_message *graph, const char *line)
{
	char op[WORD_MAX], *name;
	struct fake_message m = {0};

	word(&line, " ", op);
	name = strstr(op, "::");
	if (name) {
		*name = 0;
		fake_string(&m, 7, op);
		name += 2;
	}
	fake_string(&m, 4, name ? name : op);
	while (*line == ' ')
		line++;
	if (strncmp(line, "->", 2))
		names(&m, 1, &line);
	line = strstr(line, "->") + 2;
	names(&m, 2, &line);
	while (line += strspn(line, " "), *line && *line != '\n')
		attribute(&m, &line);
	fake_part(graph, 1, &m);
}

struct fake_message fake_model(const char *lines, int64_t opset)
{
	struct fake_message model = {0}, graph = {0}, ours = {0};

	while (*lines) {
		if (lines[0] == '=')
			constant(&graph, lines + 2);
		else
			node(&graph, lines);
		lines += strcspn(lines, "\n");
		lines += *lines == '\n';
	}
	fake_varint(&model, 1, 10);
	fake_varint(&ours, 2, (uint64_t)opset);
	fake_part(&model, 8, &ours);
	fake_part(&model, 7, &graph);
	return model;
}

int fake_file(const void *data, size_t n)
{
	int fd = memfd_create("graph", MFD_CLOEXEC);

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, data, n), (ssize_t)n);
	return fd;
}
