/* probes.c: paths of probes, answered by what the health service knows. */
#include "metrics/probes.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "dispatch/dispatch.h"
#include "services/frontend.h"

#define MODELS	 "/v2/models/"
#define VERSIONS "/versions/"
#define READY	 "/ready"
/* Of a model and a version behind it. */
#define NAME_BYTES 512u

static void answer(struct http_reply *reply, bool good)
{
	reply->status = good ? 200 : 503;
	reply->type = "text/plain; charset=utf-8";
	reply->text = good ? "ok\n" : "not ready\n";
	reply->n = strlen(reply->text);
}

/* Of "/v2/models/NAME/ready" or "/v2/models/NAME/versions/NUMBER/ready" what dispatch calls it: NAME, or
 * NAME:NUMBER. */
static bool read_name(const char *path, char name[NAME_BYTES])
{
	size_t n = strlen(path), around = strlen(MODELS) + strlen(READY);
	char *number;

	if (n <= around || n - around >= NAME_BYTES || strncmp(path, MODELS, strlen(MODELS)) != 0 ||
		strcmp(path + n - strlen(READY), READY) != 0)
		return false;
	snprintf(name, NAME_BYTES, "%.*s", (int)(n - around), path + strlen(MODELS));
	number = strstr(name, VERSIONS);
	if (number) {
		number[0] = ':';
		memmove(number + 1, number + strlen(VERSIONS),
			strlen(number + strlen(VERSIONS)) + 1);
	}
	return true;
}

void probes_get(struct dispatch *d, struct frontend *f, const char *path, struct http_reply *reply)
{
	char name[NAME_BYTES];
	const struct version *v;

	if (strcmp(path, "/v2/health/live") == 0) {
		answer(reply, true);
	} else if (strcmp(path, "/v2/health/ready") == 0) {
		answer(reply, frontend_ready(f));
	} else if (read_name(path, name)) {
		v = dispatch_find_version(d, name, strlen(name));
		if (v)
			answer(reply, version_serving(v) && !frontend_draining(f));
	}
}
