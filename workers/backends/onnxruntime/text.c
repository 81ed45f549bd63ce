/*
 * text.c: cuts texts of ONNX Runtime. They look like
 *
 *   Non-zero status code returned while running Reshape node. Name:'r' Status Message:
 *   /onnxruntime_src/.../reshape_helper.h:91 onnxruntime::ReshapeHelper::ReshapeHelper(const T&, bool)
 *   [with T = float] a == b was false. The input tensor cannot be reshaped ...
 *
 * of which "operator Reshape 'r': The input tensor cannot be reshaped ..." is left. Worker process.
 */
#include "workers/backends/onnxruntime/text.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const char failed_node[] = "Non-zero status code returned while running ";
static const char node_name[] = " node. Name:'";
static const char status_message[] = "' Status Message: ";
static const char was_false[] = " was false. ";

static void take_out(char *from, const char *to)
{
	memmove(from, to, strlen(to) + 1);
}

/* "while running Op node. Name:'n' Status Message: " becomes "operator Op 'n': ". */
static void cut_node(char *text)
{
	char *at = strstr(text, failed_node), *name, *message, words[256];
	int n;

	if (!at)
		return;
	name = strstr(at, node_name);
	message = name ? strstr(name, status_message) : NULL;
	if (!message)
		return;
	*name = *message = 0;
	name += strlen(node_name);
	n = snprintf(words, sizeof(words), "operator %s%s%.100s%s: ", at + strlen(failed_node),
		*name ? " '" : "", name, *name ? "'" : "");
	message += strlen(status_message);
	if (n < 0 || (size_t)n >= sizeof(words) || n > message - at)
		return;
	memcpy(at, words, (size_t)n);
	take_out(at + n, message);
}

static bool in_file_name(char c)
{
	return isalnum((unsigned char)c) || strchr("_./-", c);
}

/* "name.cc:12 " of a source file; the end of it, and its beginning. */
static char *find_source(char *text, char **ret_from)
{
	static const char *const endings[] = {".cc:", ".h:", ".cpp:", ".hpp:", ".cu:", ".cuh:"};

	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		char *at = strstr(text, endings[i]), *end = at ? at + strlen(endings[i]) : NULL;

		if (!at || at == text || !isdigit((unsigned char)*end))
			continue;
		while (isdigit((unsigned char)*end))
			end++;
		if (*end != ' ')
			continue;
		while (at > text && in_file_name(at[-1]))
			at--;
		*ret_from = at;
		return end + 1;
	}
	return NULL;
}

/* Behind a group in brackets that begins at `p`; NULL where it has no end. */
static char *skip_group(char *p)
{
	int depth = 0;

	for (; *p; p++) {
		depth += *p == '(' || *p == '[';
		depth -= *p == ')' || *p == ']';
		if (depth == 0)
			return p + 1;
	}
	return NULL;
}

/* Behind "void ns::f(const T&) const [with T = int] "; `p` itself where there is none. */
static char *skip_function(char *p)
{
	static const char constant[] = " const", with[] = " [with ";
	char *open = strchr(p, '('), *end = open ? skip_group(open) : NULL;

	if (!end)
		return p;
	if (!strncmp(end, constant, strlen(constant)))
		end += strlen(constant);
	if (!strncmp(end, with, strlen(with)) && skip_group(end + 1))
		end = skip_group(end + 1);
	return *end == ' ' ? end + 1 : p;
}

/* Short forms name the file and one word for the function. */
static char *skip_word(char *p)
{
	char *space = strchr(p, ' ');

	return space ? space + 1 : p;
}

static bool cut_source(char *text)
{
	char *from = NULL, *to = find_source(text, &from), *condition;

	if (!to)
		return false;
	to = *from == '/' ? skip_function(to) : skip_word(to);
	condition = strstr(to, was_false);
	if (condition && condition[strlen(was_false)])
		to = condition + strlen(was_false);
	take_out(from, to);
	return true;
}

/* "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : " inside of a text that a code goes with. */
static void cut_code(char *text)
{
	static const char mark[] = "[ONNXRuntimeError] : ", between[] = " : ";
	char *from = strstr(text, mark), *to = from;

	for (int i = 0; i < 3 && to; i++) {
		to = strstr(to, between);
		to = to ? to + strlen(between) : NULL;
	}
	if (to)
		take_out(from, to);
}

static void cut_end(char *text)
{
	size_t n = strlen(text);

	while (n > 0 && isspace((unsigned char)text[n - 1]))
		text[--n] = 0;
}

void text_cut(char *text)
{
	cut_node(text);
	for (int i = 0; i < 8 && cut_source(text); i++)
		continue;
	cut_code(text);
	cut_end(text);
}

void text_hide(char *text, const char *directory)
{
	size_t n = strlen(directory);
	char *at;

	while (n > 0 && directory[n - 1] == '/')
		n--;
	for (at = text; n > 0 && (at = strstr(at, directory)) != NULL;) {
		bool whole = at[n] == '/';

		if (whole)
			take_out(at, at + n + 1);
		else
			at += n;
	}
}

bool text_is_idle(const char *text)
{
	static const char *const begins[] = {
		"Failed to persist telemetry device ID",
		"GPU device discovery failed",
	};

	for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++) {
		if (!strncmp(text, begins[i], strlen(begins[i])))
			return true;
	}
	return false;
}
