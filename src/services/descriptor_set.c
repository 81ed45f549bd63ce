/* descriptor_set.c: walks over the bytes of a FileDescriptorSet. Any thread. */
#include "services/descriptor_set.h"

#include <string.h>

#include "proto/field.h"

/* google/protobuf/descriptor.proto */
enum {
	SET_FILE = 1,
	FILE_NAME = 1,
	FILE_PACKAGE = 2,
};

/* What has a name of its own, and what is declared in it. */
enum kind {
	KIND_FILE,
	KIND_MESSAGE,
	KIND_ENUM,
	KIND_SERVICE,
	KIND_LEAF,
};

struct child {
	uint32_t field; /* 0: no more */
	enum kind kind;
	bool beside; /* its name is one of the scope around the parent, as an enum's values are */
};

static const struct child children[][6] = {
	[KIND_FILE] = {{4, KIND_MESSAGE, false}, {5, KIND_ENUM, false}, {6, KIND_SERVICE, false},
		{7, KIND_LEAF, false}},
	[KIND_MESSAGE] = {{2, KIND_LEAF, false}, {3, KIND_MESSAGE, false}, {4, KIND_ENUM, false},
		{6, KIND_LEAF, false}, {8, KIND_LEAF, false}},
	[KIND_ENUM] = {{2, KIND_LEAF, true}},
	[KIND_SERVICE] = {{2, KIND_LEAF, false}},
	[KIND_LEAF] = {{0}},
};

/* What is looked for: the rest of a full name. */
struct wanted {
	const char *name;
	bool messages; /* those alone */
};

static bool find_child(
	const uint8_t *data, size_t n, enum kind kind, const struct wanted *w, bool beside);

/* The last field of that number and no other kind. n 0: none. */
static struct descriptor_file find_bytes(const uint8_t *data, size_t n, uint32_t number)
{
	struct field_reader r = {data, data + n};
	struct descriptor_file found = {NULL, 0};
	struct field f;

	while (field_next(&r, &f) == 0) {
		if (f.number == number && f.wire == FIELD_DELIMITED)
			found = (struct descriptor_file){f.bytes, f.n};
	}
	return found;
}

/* `name`, and what is behind it: NULL where `own` is not how it begins. */
static const char *behind(const char *name, struct descriptor_file own)
{
	if (own.n == 0 || strlen(name) < own.n || memcmp(name, own.data, own.n) != 0)
		return NULL;
	return name[own.n] == '\0' || name[own.n] == '.' ? name + own.n : NULL;
}

/* Is it, or does it declare, what is wanted? */
static bool declares(const struct field *f, enum kind kind, const struct wanted *w)
{
	const char *rest = behind(w->name, find_bytes(f->bytes, f->n, 1));
	struct wanted inner = *w;

	if (rest && *rest == '\0' && (!w->messages || kind == KIND_MESSAGE))
		return true;
	if (rest && *rest == '.') {
		inner.name = rest + 1;
		if (find_child(f->bytes, f->n, kind, &inner, false))
			return true;
	}
	return find_child(f->bytes, f->n, kind, w, true);
}

static bool find_child(
	const uint8_t *data, size_t n, enum kind kind, const struct wanted *w, bool beside)
{
	struct field_reader r = {data, data + n};
	struct field f;

	while (field_next(&r, &f) == 0) {
		for (const struct child *c = children[kind]; c->field; c++) {
			if (c->field == f.number && c->beside == beside &&
				f.wire == FIELD_DELIMITED && declares(&f, c->kind, w))
				return true;
		}
	}
	return false;
}

static bool file_declares(const struct field *file, const char *symbol, bool messages)
{
	struct descriptor_file package = find_bytes(file->bytes, file->n, FILE_PACKAGE);
	const char *rest = symbol;

	if (package.n > 0) {
		rest = behind(symbol, package);
		if (!rest || *rest != '.')
			return false;
		rest++;
	}
	return find_child(file->bytes, file->n, KIND_FILE, &(struct wanted){rest, messages}, false);
}

static bool is_named(const struct field *file, const char *name)
{
	struct descriptor_file own = find_bytes(file->bytes, file->n, FILE_NAME);

	return own.n == strlen(name) && own.n > 0 && !memcmp(own.data, name, own.n);
}

bool descriptor_set_file(
	const uint8_t *set, size_t n, const char *name, struct descriptor_file *ret_file)
{
	struct field_reader r = {set, set + n};
	struct field f;

	while (field_next(&r, &f) == 0) {
		if (f.number != SET_FILE || f.wire != FIELD_DELIMITED || !is_named(&f, name))
			continue;
		*ret_file = (struct descriptor_file){f.bytes, f.n};
		return true;
	}
	return false;
}

static bool find(const uint8_t *set, size_t n, const char *symbol, bool messages,
	struct descriptor_file *ret_file)
{
	struct field_reader r = {set, set + n};
	struct field f;

	while (field_next(&r, &f) == 0) {
		if (f.number != SET_FILE || f.wire != FIELD_DELIMITED ||
			!file_declares(&f, symbol, messages))
			continue;
		*ret_file = (struct descriptor_file){f.bytes, f.n};
		return true;
	}
	return false;
}

bool descriptor_set_symbol(
	const uint8_t *set, size_t n, const char *symbol, struct descriptor_file *ret_file)
{
	return find(set, n, symbol, false, ret_file);
}

bool descriptor_set_message(const uint8_t *set, size_t n, const char *symbol)
{
	struct descriptor_file file;

	return find(set, n, symbol, true, &file);
}
