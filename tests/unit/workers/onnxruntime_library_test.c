/*
 * onnxruntime_library_test.c: where the onnxruntime backend looks for its library, in which order,
 * and what it says of libraries that will not do. The dynamic linker and glob(3) are played here.
 */
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <glob.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What there is: a path (or bare name) and the version of the library, NULL: not one of ONNX
 * Runtime, "": cannot be opened. */
struct there {
	const char *path;
	const char *version;
};

static struct {
	struct there files[4];
	const char *library, *venv;
	char asked[4096]; /* all names, in order, each followed by a blank */
	int n_open;
	const struct there *last;
} fake;

static const struct there *find(const char *path)
{
	for (const struct there *t = fake.files; t->path; t++)
		if (!strcmp(t->path, path))
			return t;
	return NULL;
}

static void note(const char *name)
{
	size_t n = strlen(fake.asked);

	snprintf(fake.asked + n, sizeof(fake.asked) - n, "%s ", name);
}

static void *fake_dlopen(const char *path, int flags)
{
	const struct there *t = find(path);

	note(path);
	if (!t || (t->version && !*t->version))
		return NULL;
	fake.n_open++;
	return (void *)t;
}

static int fake_dlclose(void *handle)
{
	fake.n_open--;
	return 0;
}

static char *fake_dlerror(void)
{
	return (char *)"wrong ELF class";
}

static const struct OrtApi *get_api(uint32_t version);

static const char *get_version(void)
{
	return fake.last->version;
}

static const struct {
	const struct OrtApi *(*get_api)(uint32_t version);
	const char *(*get_version)(void);
} fake_base = {get_api, get_version};

static const void *fake_get_base(void)
{
	return &fake_base;
}

static void *fake_dlsym(void *handle, const char *name)
{
	const void *(*function)(void) = fake_get_base;

	cr_assert_str_eq(name, "OrtGetApiBase");
	fake.last = handle;
	return fake.last->version ? *(void **)&function : NULL;
}

static int fake_dladdr(const void *address, Dl_info *info)
{
	info->dli_fname = "/b/backends/onnxruntime.so";
	return 1;
}

/* The pattern with its wild cards replaced by what a real one would find. */
static int fake_glob(
	const char *pattern, int flags, int (*on_error)(const char *, int), glob_t *found)
{
	static char *path;
	char *star;

	note(pattern);
	path = strdup(pattern);
	star = strstr(path, "python3*");
	if (star)
		memmove(star + 7, star + 8, strlen(star + 8) + 1);
	star = strchr(path, '*');
	if (star)
		*star = '1';
	if (!find(path)) {
		free(path);
		return GLOB_NOMATCH;
	}
	found->gl_pathc = 1;
	found->gl_pathv = &path;
	return 0;
}

static void fake_globfree(glob_t *found)
{
	if (found->gl_pathc)
		free(found->gl_pathv[0]);
}

#define dlopen		 fake_dlopen
#define dlclose		 fake_dlclose
#define dlerror		 fake_dlerror
#define dlsym		 fake_dlsym
#define dladdr		 fake_dladdr
#define glob(a, b, c, d) fake_glob(a, b, c, d)
#define globfree	 fake_globfree
#include "workers/backends/onnxruntime/library.c"

static const struct OrtApi *get_api(uint32_t version)
{
	static const struct OrtApi api;

	cr_assert_eq(version, ORT_API_VERSION);
	return &api;
}

static const char *setting(const struct modeld_host *host, const char *backend, const char *key)
{
	cr_assert_str_eq(backend, "onnxruntime");
	return !strcmp(key, "library") ? fake.library : fake.venv;
}

static const struct modeld_host host = {.setting = setting};

static void fresh(void)
{
	unsetenv("VIRTUAL_ENV");
	unsetenv("MODELD_ONNXRUNTIME");
}

TestSuite(onnxruntime_library, .init = fresh);

#define IN_VENV "lib/python3/site-packages/onnxruntime/capi/libonnxruntime.so.1"

static void finds(const char *path)
{
	struct library l = {0};
	struct modeld_error error = {.size = sizeof(error)};

	fake.asked[0] = 0;
	cr_assert_eq(library_open(&l, &host, &error), MODELD_OK, "%s", error.text);
	cr_assert_str_eq(l.path, path);
	cr_assert(l.api && l.base);
	cr_assert_eq(fake.n_open, 1);
}

static void fails(const char *text)
{
	struct library l = {0};
	struct modeld_error error = {.size = sizeof(error)};

	fake.asked[0] = 0;
	cr_assert_eq(library_open(&l, &host, &error), MODELD_INTERNAL);
	cr_assert(strstr(error.text, text), "%s", error.text);
	cr_assert(strstr(error.text, "modeld-setup-onnxruntime gets version 1.19 or newer"), "%s",
		error.text);
	cr_assert(strstr(error.text, "[backend.onnxruntime]"), "%s", error.text);
	cr_assert_null(l.api);
	cr_assert_eq(fake.n_open, 0);
}

static void there(size_t i, const char *path, const char *version)
{
	fake.files[i] = (struct there){path, version};
}

Test(onnxruntime_library, nothing_there)
{
	fails("libonnxruntime.so: not found");
}

Test(onnxruntime_library, order_of_the_usual_places)
{
	setenv("VIRTUAL_ENV", "/v", 1);
	fails("not found");
	cr_assert_str_eq(fake.asked,
		"libonnxruntime.so.1 libonnxruntime.so "
		"/v/lib/python3*/site-packages/onnxruntime/capi/libonnxruntime.so.* "
		"/b/backends/../onnxruntime/libonnxruntime.so* "
		"/b/backends/../venv/lib/python3*/site-packages/onnxruntime/capi/"
		"libonnxruntime.so.* "
		"/usr/local/lib/libonnxruntime.so* "
		"/usr/lib/python3/dist-packages/onnxruntime/capi/libonnxruntime.so.* "
		"/usr/lib/x86_64-linux-gnu/libonnxruntime.so* /usr/lib/libonnxruntime.so* ");
}

Test(onnxruntime_library, each_usual_place)
{
	static const char *const places[] = {"libonnxruntime.so.1", "libonnxruntime.so",
		"/b/backends/../onnxruntime/libonnxruntime.so1", "/b/backends/../venv/" IN_VENV,
		"/usr/local/lib/libonnxruntime.so1"};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		fake.n_open = 0;
		there(0, places[i], "1.19.0");
		finds(places[i]);
	}
	setenv("VIRTUAL_ENV", "/v", 1);
	there(1, "/v/" IN_VENV, "1.20.1");
	fake.n_open = 0;
	finds("/v/" IN_VENV);
}

Test(onnxruntime_library, setting_goes_first)
{
	setenv("MODELD_ONNXRUNTIME", "/env.so", 1);
	there(0, "libonnxruntime.so.1", "1.32.0");
	there(1, "/set.so", "1.19.2");
	there(2, "/w/" IN_VENV, "1.19.2");
	fake.library = "/set.so";
	fake.venv = "/w";
	finds("/set.so");
	fake.library = NULL;
	fake.n_open = 0;
	finds("/w/" IN_VENV);
	fake.venv = NULL;
	fake.n_open = 0;
	fails("/env.so");
	there(0, "/env.so", "2.0.0");
	finds("/env.so");
}

Test(onnxruntime_library, a_named_one_must_be_good)
{
	there(0, "libonnxruntime.so.1", "1.32.0");
	fake.library = "/missing.so";
	fails("/missing.so: wrong ELF class");
	fake.library = "name.so";
	fails("name.so: no such library");
	fake.library = NULL;
	fake.venv = "/none";
	fails("/none: no onnxruntime package in this virtual environment");
}

Test(onnxruntime_library, too_old)
{
	there(0, "libonnxruntime.so.1", "1.18.1");
	fails("libonnxruntime.so.1: version 1.18.1 is too old");
	there(0, "libonnxruntime.so.1", "0.99.0");
	fails("too old");
	there(0, "libonnxruntime.so.1", "strange");
	fails("too old");
	/* A better one further on is taken. */
	there(1, "/b/backends/../venv/" IN_VENV, "1.19.0");
	finds("/b/backends/../venv/" IN_VENV);
}

Test(onnxruntime_library, not_ours_or_broken)
{
	there(0, "libonnxruntime.so", NULL);
	fails("libonnxruntime.so: not a library of ONNX Runtime");
	there(0, "/usr/local/lib/libonnxruntime.so1", "");
	fails("/usr/local/lib/libonnxruntime.so1: wrong ELF class");
}

Test(onnxruntime_library, tables)
{
	struct there old = {"x", "1.23.9"}, young = {"x", "1.24.0"};

	fake.last = &old;
	cr_assert(library_offers((const struct OrtApiBase *)&fake_base, 23));
	cr_assert_not(library_offers((const struct OrtApiBase *)&fake_base, 24));
	fake.last = &young;
	cr_assert(library_offers((const struct OrtApiBase *)&fake_base, 24));
}
