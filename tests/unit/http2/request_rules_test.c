/* request_rules_test.c: headers of requests, right and wrong, one list after the other. */
#include "http2/request_rules.h"

#include <criterion/criterion.h>
#include <string.h>

#define HEADERS_MAX 8

struct pair {
	const char *name;
	const char *value;
};

static bool met(const struct pair *headers)
{
	struct request_rules r = {0};

	for (; headers->name; headers++)
		request_rules_take(&r, headers->name, strlen(headers->name), headers->value,
			strlen(headers->value));
	return request_rules_met(&r);
}

#define REQUEST                                                                                    \
	{":method", "POST"}, {":scheme", "http"},                                                  \
	{                                                                                          \
		":path", "/a/B"                                                                    \
	}

Test(request_rules, requests)
{
	static const struct pair lists[][HEADERS_MAX] = {
		{REQUEST},
		{REQUEST, {":authority", "here"}},
		{REQUEST, {":authority", "/run/modeld/grpc.sock"}},
		{REQUEST, {":authority", "unix:///run/modeld/grpc.sock"}},
		{REQUEST, {":authority", "%2Frun%2Fmodeld%2Fgrpc.sock"}},
		{REQUEST, {":authority", ""}},
		{{":authority", "a b"}, REQUEST, {"te", "trailers"}, {"x", ""}},
		{REQUEST, {"x", "a"}, {"x", "a"}, {"content-type", "Application/gRPC"}},
	};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		cr_expect(met(lists[i]), "list %zu", i);
}

Test(request_rules, no_requests)
{
	static const struct pair lists[][HEADERS_MAX] = {
		{{0}},
		{{":method", "POST"}, {":scheme", "http"}},
		{{":method", "POST"}, {":path", "/"}},
		{{":scheme", "http"}, {":path", "/"}},
		{REQUEST, {":path", "/b"}},
		{REQUEST, {":authority", "a"}, {":authority", "a"}},
		{{":method", ""}, {":scheme", "http"}, {":path", "/"}},
		{{":method", "POST"}, {":scheme", "http"}, {":path", ""}},
		{REQUEST, {":status", "200"}},
		{REQUEST, {":", ""}},
		{REQUEST, {"", "x"}},
		{{"x", "a"}, REQUEST},
		{REQUEST, {"x", "a"}, {":authority", "a"}},
		{REQUEST, {"X", "a"}},
		{REQUEST, {"te", "gzip"}},
		{REQUEST, {"connection", "close"}},
		{REQUEST, {"keep-alive", "1"}},
		{REQUEST, {"proxy-connection", "x"}},
		{REQUEST, {"transfer-encoding", "chunked"}},
		{REQUEST, {"upgrade", "h2c"}},
	};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		cr_expect_not(met(lists[i]), "list %zu", i);
}
