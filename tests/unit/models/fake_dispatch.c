/* fake_dispatch.c: versions in a list. */
#include "fake_dispatch.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fake_dispatch fake;

static void note(const char *what, const struct version_settings *s)
{
	size_t n = strlen(fake.changes);

	snprintf(fake.changes + n, sizeof(fake.changes) - n, "%s%s %s/%s", n ? " " : "", what,
		s->name, s->version);
}

struct version *fake_last(void)
{
	return fake.n ? fake.versions[fake.n - 1] : NULL;
}

struct version *fake_find(const char *name, const char *number)
{
	for (size_t i = 0; i < fake.n; i++) {
		struct version *v = fake.versions[i];

		if (!v->replaces && !strcmp(v->settings.name, name) &&
			!strcmp(v->settings.version, number))
			return v;
	}
	return NULL;
}

static void leave(struct version *v)
{
	size_t at = 0;

	while (fake.versions[at] != v)
		at++;
	memmove(&fake.versions[at], &fake.versions[at + 1], (fake.n - at - 1) * sizeof(v));
	fake.n--;
	v->retired = true;
	v->hopeful = false;
	for (size_t i = 0; i < fake.n; i++) {
		if (fake.versions[i]->replaces == v)
			fake.versions[i]->replaces = version_unref(v);
	}
	v->replaces = version_unref(v->replaces);
	version_unref(v);
}

void fake_take_over(struct version *v)
{
	v->ready = v->declared = true;
	leave(v->replaces);
}

void fake_clear(void)
{
	while (fake.n > 0)
		leave(fake_last());
}

int dispatch_add_version(struct dispatch *d, const struct version_settings *settings,
	struct version *replaces, struct version **ret_version)
{
	struct version *v = fake.add_error ? NULL : calloc(1, sizeof(*v));

	(void)d;
	assert(fake.n < FAKE_VERSIONS_MAX);
	if (!v || version_settings_copy(&v->settings, settings)) {
		free(v);
		return fake.add_error ? fake.add_error : -12;
	}
	v->refs = 1;
	v->detail = "";
	v->memory_bytes = fake.added_bytes;
	memcpy(v->gpu_bytes, fake.added_gpu_bytes, sizeof(v->gpu_bytes));
	v->hopeful = true;
	v->ready = v->declared = fake.added_ready;
	v->replaces = replaces ? version_ref(replaces) : NULL;
	fake.n_living++;
	fake.versions[fake.n++] = v;
	note(replaces ? "replace" : "add", settings);
	if (ret_version)
		*ret_version = v;
	return 0;
}

struct version *dispatch_find_number(
	struct dispatch *d, const char *name, size_t n, const char *number, size_t n_number)
{
	(void)d;
	for (size_t i = 0; i < fake.n; i++) {
		const struct version_settings *s = &fake.versions[i]->settings;

		if (strlen(s->name) == n && !memcmp(s->name, name, n) &&
			strlen(s->version) == n_number && !memcmp(s->version, number, n_number))
			return fake.versions[i];
	}
	return NULL;
}

void dispatch_remove_version(struct dispatch *d, struct version *v)
{
	(void)d;
	note("remove", &v->settings);
	leave(v);
}

int dispatch_set_default(struct dispatch *d, const char *name)
{
	(void)d;
	snprintf(fake.default_model, sizeof(fake.default_model), "%s", name);
	return 0;
}

size_t dispatch_n_models(const struct dispatch *d)
{
	size_t n = 0;

	(void)d;
	for (size_t i = 0; i < fake.n; i++) {
		size_t k = 0;

		while (strcmp(fake.versions[k]->settings.name, fake.versions[i]->settings.name) !=
			0)
			k++;
		n += k == i;
	}
	return n;
}

size_t dispatch_n_versions(const struct dispatch *d)
{
	(void)d;
	return fake.n;
}

struct version *dispatch_version(const struct dispatch *d, size_t i)
{
	(void)d;
	fake.n_looks++;
	return fake.versions[i];
}

size_t dispatch_model_versions(
	const struct dispatch *d, const char *name, struct version **list, size_t cap)
{
	size_t n = 0;

	(void)d;
	fake.n_looks++;
	for (size_t i = 0; i < fake.n; i++) {
		if (strcmp(fake.versions[i]->settings.name, name) != 0)
			continue;
		if (n < cap)
			list[n] = fake.versions[i];
		n++;
	}
	return n;
}

bool dispatch_is_demanded(const struct dispatch *d, const char *model)
{
	(void)d;
	(void)model;
	return fake.demanded;
}

uint32_t version_n_requests(const struct version *v)
{
	return v->n_requests;
}

uint64_t version_memory_bytes(const struct version *v, const char *device)
{
	if (device && !strncmp(device, "cuda:", 5))
		return v->gpu_bytes[device[5] - '0'];
	return v->memory_bytes;
}

const struct version_counters *version_counters(const struct version *v)
{
	return &v->counters;
}

void dispatch_supply(
	struct dispatch *d, const char *name, enum grpc_status status, const char *text)
{
	size_t n = strlen(fake.supplied);

	(void)d;
	snprintf(fake.supplied + n, sizeof(fake.supplied) - n, "%s%s: %d%s%s", n ? ", " : "", name,
		(int)status, *text ? " " : "", text);
}

struct version *version_ref(struct version *v)
{
	v->refs++;
	return v;
}

struct version *version_unref(struct version *v)
{
	if (!v || --v->refs > 0)
		return NULL;
	fake.n_living--;
	version_settings_release(&v->settings);
	free(v);
	return NULL;
}

const struct version_settings *version_settings(const struct version *v)
{
	return &v->settings;
}

const struct version *version_replaces(const struct version *v)
{
	return v->replaces;
}

bool version_retired(const struct version *v)
{
	return v->retired;
}

bool version_ready(const struct version *v)
{
	return v->ready;
}

bool version_hopeful(const struct version *v)
{
	return v->hopeful;
}

const char *version_detail(const struct version *v)
{
	return v->detail;
}

const char *version_remark(const struct version *v)
{
	return v->remark ? v->remark : "";
}

void version_stays(struct version *v)
{
	v->n_stays++;
}

uint32_t version_workers_failed(const struct version *v)
{
	return v->failed;
}

void version_retry(struct version *v)
{
	if (v->failed == 0)
		return;
	v->n_retries++;
	v->failed = 0;
	v->hopeful = true;
}

const struct wire_loaded *version_declared(const struct version *v)
{
	static const struct wire_loaded declared = {.ok = true};

	return v->declared ? &declared : NULL;
}
