/* fake_sources.c: a dispatch and a frontend that say what the test wants. */
#include "fake_sources.h"

#include <criterion/criterion.h>
#include <string.h>

#include "dispatch/dispatch.h"
#include "services/frontend.h"

struct fake_sources fake;

struct version {
	char unused;
};

struct version *dispatch_find_version(struct dispatch *d, const char *name, size_t n)
{
	static struct version a;
	char copy[512];

	(void)d;
	cr_assert_lt(n, sizeof(copy));
	memcpy(copy, name, n);
	copy[n] = '\0';
	return strcmp(copy, "a") == 0 || strcmp(copy, "a:2") == 0 ? &a : NULL;
}

bool version_serving(const struct version *v)
{
	(void)v;
	return fake.model_serving;
}

bool frontend_ready(struct frontend *f)
{
	(void)f;
	return fake.server_ready && !fake.draining;
}

bool frontend_draining(const struct frontend *f)
{
	(void)f;
	return fake.draining;
}
