/* probes_test.c: what each path means. */
#include "metrics/probes.h"

#include <criterion/criterion.h>
#include <string.h>

#include "fake_sources.h"

static unsigned ask(const char *path)
{
	struct http_reply reply = {.status = 404, .text = ""};

	probes_get(NULL, NULL, path, &reply);
	cr_expect_eq(reply.n, strlen(reply.text));
	cr_expect_eq(reply.status == 200, strcmp(reply.text, "ok\n") == 0);
	return reply.status;
}

Test(probes, live_is_who_answers)
{
	fake.draining = true;
	cr_expect_eq(ask("/v2/health/live"), 200);
}

Test(probes, ready_is_what_the_health_service_says)
{
	cr_expect_eq(ask("/v2/health/ready"), 503);
	fake.server_ready = true;
	cr_expect_eq(ask("/v2/health/ready"), 200);
	fake.draining = true;
	cr_expect_eq(ask("/v2/health/ready"), 503);
}

Test(probes, a_model_and_a_version)
{
	struct version *v = fake_add("a", "2");

	cr_expect_eq(ask("/v2/models/a/ready"), 200);
	cr_expect_eq(ask("/v2/models/a/versions/2/ready"), 200);
	v->serving = false;
	cr_expect_eq(ask("/v2/models/a/ready"), 503);
	v->serving = true;
	fake.draining = true;
	cr_expect_eq(ask("/v2/models/a/ready"), 503);
}

Test(probes, what_there_is_not)
{
	char path[2048];

	fake_add("a", "2");
	fake.server_ready = true;
	cr_expect_eq(ask("/"), 404);
	cr_expect_eq(ask(""), 404);
	cr_expect_eq(ask("/v2/health"), 404);
	cr_expect_eq(ask("/v2/health/ready/"), 404);
	cr_expect_eq(ask("/v2/models/b/ready"), 404);
	cr_expect_eq(ask("/v2/models/a/versions/3/ready"), 404);
	cr_expect_eq(ask("/v2/models/a/versions/ready"), 404);
	cr_expect_eq(ask("/v2/models//ready"), 404);
	cr_expect_eq(ask("/v2/models/ready"), 404);
	cr_expect_eq(ask("/v2/models/a"), 404);
	memset(path, 'x', sizeof(path));
	memcpy(path, "/v2/models/", strlen("/v2/models/"));
	memcpy(path + sizeof(path) - 7, "/ready", 7);
	cr_expect_eq(ask(path), 404);
}
