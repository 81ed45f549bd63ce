/* service_fixture.h: what a service hangs from, for tests: a loop, settings, a played dispatch. */
#ifndef TESTS_UNIT_SERVICES_SERVICE_FIXTURE_H
#define TESTS_UNIT_SERVICES_SERVICE_FIXTURE_H

#include <criterion/criterion.h>
#include <uv.h>

#include "call_double.h"
#include "dispatch_double.h"
#include "services/health.h"
#include "services/services.h"

/* By name alone. */
static const struct service fixture_health = {.name = "grpc.health.v1.Health"};
static const struct service fixture_model_worker = {
	.name = "remotemedia.model_registry.v1.ModelWorkerService"};
static const struct service *const fixture_services[] = {
	&fixture_health, &fixture_model_worker, NULL};

struct fixture {
	uv_loop_t loop;
	struct services_settings settings;
	struct calls calls;
	struct dispatch dispatch;
	struct client client;
	struct services services;
};

static inline void fixture_init(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	cr_assert_eq(uv_loop_init(&f->loop), 0);
	double_dispatch_init(&f->dispatch);
	f->settings = (struct services_settings){
		.max_request_metadata_bytes = 65536,
		.max_stream_requests = 3,
		.max_unread_answers = 2,
		.arena_wait_ms = 60000,
		.strict_readiness = true,
	};
	f->services = (struct services){
		.settings = &f->settings,
		.list = fixture_services,
		.dispatch = &f->dispatch,
		.calls = &f->calls,
		.loop = &f->loop,
	};
	key_regions_init(&f->services.keys, CLIENT_SHM_LOCAL, CLIENT_SHM_OFF, 8);
	key_mover_init(&f->services.mover, &f->loop);
	while (health_new(&f->services.health, &f->services))
		;
	health_set_serving(f->services.health, true);
}

/* Nothing may be left. */
static inline void fixture_deinit(struct fixture *f)
{
	f->services.health = health_free(f->services.health);
	key_mover_close(&f->services.mover, NULL);
	key_regions_deinit(&f->services.keys);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	cr_expect_eq(uv_loop_close(&f->loop), 0, "a handle is left");
	cr_expect_eq(f->dispatch.n_leases, 0);
	cr_expect_eq(f->dispatch.n_requests, 0);
	for (size_t i = 0; i < f->dispatch.n_models; i++)
		cr_expect_eq(f->dispatch.models[i].refs, 0, "a reference is left");
	cr_expect_eq(f->dispatch.n_output_leases, 0);
	cr_expect(list_empty(&f->dispatch.line));
}

/* The method at the end of a path. */
static inline const struct method *fixture_method(const struct service *service, const char *name)
{
	for (const struct method *table = service->methods; table->path; table++) {
		const char *slash = strrchr(table->path, '/');

		if (!strcmp(slash + 1, name))
			return table;
	}
	cr_assert_fail("no method %s", name);
	return NULL;
}

#endif
