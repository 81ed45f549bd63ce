/*
 * request_rules.c: pseudo-headers come first, once each, those that a request needs at least; names are
 * in lower case; what concerns a connection of HTTP/1 is not there. Values are for those who read them:
 * only that they are not empty is asked here, and of :authority not even that. Daemon process, loop thread.
 */
#include "http2/request_rules.h"

#include <string.h>

enum seen {
	SEEN_METHOD = 1 << 0,
	SEEN_SCHEME = 1 << 1,
	SEEN_PATH = 1 << 2,
	SEEN_AUTHORITY = 1 << 3,
	SEEN_REGULAR = 1 << 4,
};

#define NEEDED (SEEN_METHOD | SEEN_SCHEME | SEEN_PATH)

static bool is(const char *word, const char *text, size_t n)
{
	return n == strlen(word) && !memcmp(text, word, n);
}

/* 0: there is no such pseudo-header in a request. */
static enum seen pseudo_header(const char *name, size_t n)
{
	if (is(":method", name, n))
		return SEEN_METHOD;
	if (is(":scheme", name, n))
		return SEEN_SCHEME;
	if (is(":path", name, n))
		return SEEN_PATH;
	return is(":authority", name, n) ? SEEN_AUTHORITY : 0;
}

static bool take_pseudo_header(struct request_rules *r, enum seen which, size_t n_value)
{
	if (!which || (r->seen & (which | SEEN_REGULAR)))
		return false;
	r->seen |= (uint8_t)which;
	return n_value || which == SEEN_AUTHORITY;
}

static bool of_http1(const char *name, size_t n)
{
	static const char *const names[] = {
		"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (is(names[i], name, n))
			return true;
	return false;
}

static bool in_lower_case(const char *name, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (name[i] >= 'A' && name[i] <= 'Z')
			return false;
	return true;
}

static bool regular_is_well(const char *name, size_t n_name, const char *value, size_t n_value)
{
	if (!in_lower_case(name, n_name) || of_http1(name, n_name))
		return false;
	return !is("te", name, n_name) || is("trailers", value, n_value);
}

void request_rules_take(
	struct request_rules *r, const char *name, size_t n_name, const char *value, size_t n_value)
{
	bool well;

	if (n_name && name[0] == ':') {
		well = take_pseudo_header(r, pseudo_header(name, n_name), n_value);
	} else {
		r->seen |= SEEN_REGULAR;
		well = n_name && regular_is_well(name, n_name, value, n_value);
	}
	if (!well)
		r->broken = true;
}

bool request_rules_met(const struct request_rules *r)
{
	return !r->broken && (r->seen & NEEDED) == NEEDED;
}
