/*
 * config_value.c: one value: text to field. Bounds come from the key table; messages name the value
 * and the limit, the caller adds file, line and key.
 */
#include "config_private.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/device_name.h"
#include "base/digits.h"

#define WORKERS_MAX 1024u

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

void *config_alloc(struct config *c, size_t n)
{
	struct config_store *s = c->store;
	void **blocks = realloc(s->blocks, (s->n_blocks + 1) * sizeof(*blocks));

	if (!blocks)
		return NULL;
	s->blocks = blocks;
	blocks[s->n_blocks] = calloc(1, n ? n : 1);
	if (!blocks[s->n_blocks])
		return NULL;
	return blocks[s->n_blocks++];
}

char *config_strdup(struct config *c, const char *text)
{
	size_t n = strlen(text) + 1;
	char *copy = config_alloc(c, n);

	return copy ? memcpy(copy, text, n) : NULL;
}

char *config_format(const char *format, ...)
{
	va_list ap;
	char *out;
	int n;

	va_start(ap, format);
	n = vasprintf(&out, format, ap);
	va_end(ap);
	return n < 0 ? NULL : out;
}

char *config_printf(struct config *c, const char *format, ...)
{
	_cleanup_(freep) char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vasprintf(&text, format, ap);
	va_end(ap);
	if (n >= 0)
		return config_strdup(c, text);
	text = NULL;
	return NULL;
}

static int store_number(
	struct config *c, const struct config_key *key, const char *text, char *message, size_t cap)
{
	bool scaled = key->type == CONFIG_BYTES32 || key->type == CONFIG_BYTES64 ||
		      key->type == CONFIG_BYTES_AUTO;
	void *field = (char *)c + key->offset;
	uint64_t n;
	int r = scaled ? bytes_parse(text, &n) : decimal_parse(text, &n);

	if (r == -EINVAL) {
		snprintf(message, cap, "'%s' is not a whole number%s", text,
			scaled ? " of bytes (K, M and G may follow)" : "");
		return CONFIG_E_INVALID;
	}
	if (r || n < key->min || n > key->max) {
		snprintf(message, cap, "%s is out of range: %llu to %llu", text,
			(unsigned long long)key->min, (unsigned long long)key->max);
		return CONFIG_E_INVALID;
	}
	if (key->type == CONFIG_U32 || key->type == CONFIG_BYTES32)
		*(uint32_t *)field = (uint32_t)n;
	else
		*(uint64_t *)field = key->type == CONFIG_SECONDS ? n * 1000 : n;
	return 0;
}

static int store_bytes_or_auto(
	struct config *c, const struct config_key *key, const char *text, char *message, size_t cap)
{
	if (strcmp(text, "auto"))
		return store_number(c, key, text, message, cap);
	*(uint64_t *)((char *)c + key->offset) = CONFIG_AUTO;
	return 0;
}

static int store_mode(
	struct config *c, const struct config_key *key, const char *text, char *message, size_t cap)
{
	char *end;
	unsigned long n = strtoul(text, &end, 8);

	if (!isdigit((unsigned char)*text) || *end || n > key->max) {
		snprintf(message, cap, "'%s' is no octal mode from 0 to 0777", text);
		return CONFIG_E_INVALID;
	}
	*(uint32_t *)((char *)c + key->offset) = (uint32_t)n;
	return 0;
}

static int store_bool(
	struct config *c, const struct config_key *key, const char *text, char *message, size_t cap)
{
	bool yes;

	if (bool_parse(text, &yes)) {
		snprintf(message, cap, "'%s' is neither yes nor no", text);
		return CONFIG_E_INVALID;
	}
	if (key->offset == offsetof(struct config, dispatch.arena.pages))
		c->dispatch.arena.pages = yes ? SEGMENT_PAGES_THP : SEGMENT_PAGES_BASE;
	else
		*(bool *)((char *)c + key->offset) = yes;
	return 0;
}

static int store_string(
	struct config *c, const struct config_key *key, const char *text, char *message, size_t cap)
{
	size_t n = strlen(text);
	char *copy;

	if (n < key->min || n > key->max) {
		snprintf(message, cap, "must have %llu to %llu characters, has %zu",
			(unsigned long long)key->min, (unsigned long long)key->max, n);
		return CONFIG_E_INVALID;
	}
	copy = config_strdup(c, text);
	if (!copy)
		return -ENOMEM;
	*(const char **)((char *)c + key->offset) = copy;
	return 0;
}

/* Split at commas into NUL-terminated pieces of `copy` (changed), spaces trimmed. Returns how many;
 * a piece that is empty, or would begin a comment in a line of its own, gives 0. */
static size_t split_list(char *copy, char **pieces, size_t max)
{
	size_t n = 0;
	char *next = copy;

	while (next && n <= max) {
		char *piece = next, *end;

		next = strchr(piece, ',');
		if (next)
			*next++ = 0;
		while (isspace((unsigned char)*piece))
			piece++;
		end = piece + strlen(piece);
		while (end > piece && isspace((unsigned char)end[-1]))
			*--end = 0;
		if (!*piece || *piece == '#' || *piece == ';')
			return 0;
		if (n < max)
			pieces[n] = piece;
		n++;
	}
	return n;
}

static int split_value(struct config *c, const struct config_key *key, const char *text,
	char ***ret_pieces, size_t *ret_n, char *message, size_t cap)
{
	char *copy = config_strdup(c, text);
	char **pieces = config_alloc(c, (key->max + 1) * sizeof(*pieces));
	size_t n;

	if (!copy || !pieces)
		return -ENOMEM;
	n = split_list(copy, pieces, key->max);
	if (n < key->min || n > key->max || (n == 0 && text[strspn(text, " \t")])) {
		snprintf(message, cap,
			"needs %llu to %llu entries separated by commas, none empty or a comment",
			(unsigned long long)key->min, (unsigned long long)key->max);
		return CONFIG_E_INVALID;
	}
	*ret_pieces = pieces;
	*ret_n = n;
	return 0;
}

static int store_list(
	struct config *c, const struct config_key *key, const char *text, char *message, size_t cap)
{
	char **pieces;
	size_t n;
	int r = split_value(c, key, text, &pieces, &n, message, cap);

	if (r)
		return r;
	*(const char *const **)((char *)c + key->offset) = (const char *const *)pieces;
	return 0;
}

static bool is_device(const char *name)
{
	const char *gpu = device_name_gpu(name);
	uint64_t index;

	if (gpu && (device_name_is_uuid(gpu) || !strcmp(gpu, "all")))
		return true;
	if (!gpu && strncmp(name, "cpu:", 4) != 0)
		return false;
	return !decimal_parse(strchr(name, ':') + 1, &index) && index <= 1023;
}

/* "cpu:0" or "cpu:0 x2" (changed). */
static int parse_place(char *piece, struct pool_place *place)
{
	char *space = strpbrk(piece, " \t");
	uint64_t n = 1;

	if (space) {
		*space++ = 0;
		while (isspace((unsigned char)*space))
			space++;
		if (*space++ != 'x' || decimal_parse(space, &n) || n < 1 || n > 256)
			return -EINVAL;
	}
	if (!is_device(piece))
		return -EINVAL;
	*place = (struct pool_place){piece, (uint32_t)n};
	return 0;
}

static int check_places(const struct pool_place *places, size_t n, char *message, size_t cap)
{
	uint64_t total = 0;

	for (size_t i = 0; i < n; i++) {
		total += places[i].count;
		for (size_t k = 0; k < i; k++) {
			if (strcmp(places[i].device, places[k].device))
				continue;
			snprintf(message, cap, "device '%s' is named twice", places[i].device);
			return CONFIG_E_INVALID;
		}
	}
	if (total <= WORKERS_MAX)
		return 0;
	snprintf(message, cap, "%llu workers, at most %u are allowed", (unsigned long long)total,
		WORKERS_MAX);
	return CONFIG_E_INVALID;
}

/* Entry i of a list, as it was written: n bytes. */
static const char *entry_text(const char *text, size_t i, int *ret_n)
{
	int n;

	while (i-- > 0)
		text = strchr(text, ',') + 1;
	text += strspn(text, " \t");
	n = (int)strcspn(text, ",");
	while (n > 0 && isspace((unsigned char)text[n - 1]))
		n--;
	*ret_n = n;
	return text;
}

static int store_places(
	struct config *c, const struct config_key *key, const char *text, char *message, size_t cap)
{
	struct pool_place *places;
	char **pieces;
	const char *entry;
	int n_entry;
	size_t n;
	int r = split_value(c, key, text, &pieces, &n, message, cap);

	if (r)
		return r;
	places = config_alloc(c, n * sizeof(*places));
	if (!places)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (parse_place(pieces[i], &places[i])) {
			entry = entry_text(text, i, &n_entry);
			snprintf(message, cap,
				"entry %zu, '%.*s', is no device like 'cpu:0' or 'cpu:0 x2' (1 to "
				"256 times)",
				i + 1, n_entry, entry);
			return CONFIG_E_INVALID;
		}
	}
	c->pool.places = places;
	c->pool.n_places = n;
	return check_places(places, n, message, cap);
}

static int store_level(struct config *c, const char *text, char *message, size_t cap)
{
	if (log_level_parse(text, &c->log_level)) {
		snprintf(message, cap, "'%s' is none of error, warning, info, debug", text);
		return CONFIG_E_INVALID;
	}
	return 0;
}

static int store_ratio(
	struct config *c, const struct config_key *key, const char *text, char *message, size_t cap)
{
	double v;

	if (real_parse(text, &v) || v < 0 || v > 1) {
		snprintf(message, cap, "'%s' is no number from 0 to 1", text);
		return CONFIG_E_INVALID;
	}
	*(double *)((char *)c + key->offset) = v;
	return 0;
}

static int store_log_format(struct config *c, const char *text, char *message, size_t cap)
{
	if (log_format_parse(text, &c->log_format)) {
		snprintf(message, cap, "'%s' is none of text, json", text);
		return CONFIG_E_INVALID;
	}
	return 0;
}

/* Which of n words it is. The message names them all. */
static int parse_word(const char *text, const char *const *words, size_t n, size_t *ret_i,
	char *message, size_t cap)
{
	size_t at;

	for (size_t i = 0; i < n; i++) {
		if (!strcmp(text, words[i])) {
			*ret_i = i;
			return 0;
		}
	}
	snprintf(message, cap, "'%s' is none of %s", text, words[0]);
	for (size_t i = 1; i < n; i++) {
		at = strlen(message);
		snprintf(message + at, cap - at, ", %s", words[i]);
	}
	return CONFIG_E_INVALID;
}

static int store_codec(struct config *c, const char *text, char *message, size_t cap)
{
	static const char *const words[] = {"none", "gzip", "deflate"};
	size_t i = 0;
	int r = parse_word(text, words, COUNT_OF(words), &i, message, cap);

	if (!r)
		c->frontend.grpc.compression = words[i];
	return r;
}

static int store_control(struct config *c, const char *text, char *message, size_t cap)
{
	static const char *const words[] = {
		[MODELS_CONTROL_NONE] = "none",
		[MODELS_CONTROL_POLL] = "poll",
		[MODELS_CONTROL_EXPLICIT] = "explicit",
	};
	size_t i = 0;
	int r = parse_word(text, words, COUNT_OF(words), &i, message, cap);

	if (!r)
		c->models.control = (enum models_control)i;
	return r;
}

/* Words that others know, too, and have parsed. */
static int store_parsed(bool parsed, const char *text, const char *words, char *message, size_t cap)
{
	if (parsed)
		return 0;
	snprintf(message, cap, "'%s' is none of %s", text, words);
	return CONFIG_E_INVALID;
}

static int store_client_shm(enum client_shm *to, const char *text, char *message, size_t cap)
{
	static const char *const words[] = {
		[CLIENT_SHM_OFF] = "off",
		[CLIENT_SHM_LOCAL] = "local",
		[CLIENT_SHM_ANY] = "any",
	};
	size_t i = 0;
	int r = parse_word(text, words, COUNT_OF(words), &i, message, cap);

	if (!r)
		*to = (enum client_shm)i;
	return r;
}

static int store_uploads(struct config *c, const char *text, char *message, size_t cap)
{
	static const char *const words[] = {
		[KSERVE_UPLOADS_OFF] = "off",
		[KSERVE_UPLOADS_UNIX] = "unix",
		[KSERVE_UPLOADS_LOCAL] = "local",
	};
	size_t i = 0;
	int r = parse_word(text, words, COUNT_OF(words), &i, message, cap);

	if (!r)
		c->frontend.services.uploads = (enum kserve_uploads)i;
	return r;
}

int config_store_value(
	struct config *c, const struct config_key *key, const char *text, char *message, size_t cap)
{
	void *to = (char *)c + key->offset;

	switch (key->type) {
	case CONFIG_U32:
	case CONFIG_U64:
	case CONFIG_BYTES32:
	case CONFIG_BYTES64:
	case CONFIG_SECONDS:
		return store_number(c, key, text, message, cap);
	case CONFIG_BYTES_AUTO:
		return store_bytes_or_auto(c, key, text, message, cap);
	case CONFIG_MODE:
		return store_mode(c, key, text, message, cap);
	case CONFIG_BOOL:
		return store_bool(c, key, text, message, cap);
	case CONFIG_STRING:
		return store_string(c, key, text, message, cap);
	case CONFIG_LIST:
		return store_list(c, key, text, message, cap);
	case CONFIG_PLACES:
		return store_places(c, key, text, message, cap);
	case CONFIG_LEVEL:
		return store_level(c, text, message, cap);
	case CONFIG_RATIO:
		return store_ratio(c, key, text, message, cap);
	case CONFIG_LOG_FORMAT:
		return store_log_format(c, text, message, cap);
	case CONFIG_CODEC:
		return store_codec(c, text, message, cap);
	case CONFIG_CONTROL:
		return store_control(c, text, message, cap);
	case CONFIG_ISOLATION:
		return store_parsed(
			isolation_parse(text, to), text, "device, model, auto", message, cap);
	case CONFIG_EVICTION:
		return store_parsed(
			eviction_parse(text, to), text, "lru, lfu, ttl, manual", message, cap);
	case CONFIG_CLIENT_SHM:
		return store_client_shm(to, text, message, cap);
	case CONFIG_UPLOADS:
		return store_uploads(c, text, message, cap);
	}
	return -EINVAL;
}

uint64_t config_n_workers(const struct config *c)
{
	uint64_t n = 0;

	for (size_t i = 0; i < c->pool.n_places; i++)
		n += c->pool.places[i].count;
	return n;
}
