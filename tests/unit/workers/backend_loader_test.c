/*
 * backend_loader_test.c: backends from shared objects, made here by the C compiler out of tree: the
 * example of docs/backends.md against nothing but the header, and bad ones.
 */
#include "workers/backend_loader.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_daemon.h"
#include "proto/grpc_status.h"
#include "tests/support/fakecuda/fakecuda.h"
#include "workers/host.h"
#include "workers/loop.h"
#include "workers/model.h"

static char directory[64];

/* A directory with include/modeld/backend.h, as it is installed. */
static void make_directory(void)
{
	char to[128];
	char from[4096];

	snprintf(directory, sizeof(directory), "/tmp/modeld-backends-XXXXXX");
	cr_assert(mkdtemp(directory));
	snprintf(to, sizeof(to), "%s/modeld", directory);
	cr_assert_eq(mkdir(to, 0700), 0);
	snprintf(to, sizeof(to), "%s/modeld/backend.h", directory);
	cr_assert(realpath("workers/backend.h", from));
	cr_assert_eq(symlink(from, to), 0);
}

static void remove_directory(void)
{
	const char *argv[] = {"rm", "-rf", directory, NULL};
	pid_t pid;
	int status;

	cr_assert_eq(posix_spawnp(&pid, "rm", NULL, NULL, (char **)argv, environ), 0);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
}

TestSuite(backend_loader, .init = make_directory, .fini = remove_directory);

static void compile(const char *source, const char *name)
{
	char include[128], object[128];
	const char *argv[] = {"cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC",
		include, "-o", object, source, NULL};
	pid_t pid;
	int status;

	snprintf(include, sizeof(include), "-I%s", directory);
	snprintf(object, sizeof(object), "%s/%s.so", directory, name);
	cr_assert_eq(posix_spawnp(&pid, "cc", NULL, NULL, (char **)argv, environ), 0);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0, "%s did not compile", source);
}

static void compile_text(const char *text, const char *name)
{
	char source[128];
	FILE *f;

	snprintf(source, sizeof(source), "%s/%s.c", directory, name);
	f = fopen(source, "w");
	cr_assert(f);
	fprintf(f, "#include <modeld/backend.h>\n#include <stddef.h>\n%s\n", text);
	fclose(f);
	compile(source, name);
}

static struct backends *make(void)
{
	static const struct modeld_host host = {.size = sizeof(host), .abi = MODELD_BACKEND_ABI};
	const char *directories[] = {"/nowhere", directory};
	struct backends *b;

	cr_assert_eq(backends_new(&b, directories, 2, &host), 0);
	return b;
}

static void expect_refused(struct backends *b, const char *name, const char *part)
{
	const struct modeld_backend *backend = NULL;
	struct modeld_error error = {.size = sizeof(error)};

	cr_assert_eq(backends_get(b, name, &backend, &error), BACKEND_E_REFUSED);
	cr_assert(strstr(error.text, part), "'%s' has no '%s'", error.text, part);
	cr_assert_null(backend);
}

Test(backend_loader, builtin_needs_no_directory)
{
	const struct modeld_backend *first = NULL, *second = NULL;
	struct modeld_error error;
	struct backends *b;

	cr_assert_eq(backends_new(&b, NULL, 0, NULL), 0);
	cr_assert_eq(backends_get(b, "builtin", &first, &error), 0);
	cr_assert_eq(backends_get(b, "builtin", &second, &error), 0);
	cr_assert_eq(first, second);
	expect_refused(b, "other", "backend_dirs is empty");
	backends_free(b);
}

Test(backend_loader, names_do_not_lead_elsewhere)
{
	struct backends *b = make();
	char expected[160];
	char name[100];

	expect_refused(b, "../x", "name has only");
	expect_refused(b, "/etc/x", "name has only");
	expect_refused(b, ".hidden", "name has only");
	expect_refused(b, "", "name has only");
	memset(name, 'a', sizeof(name));
	name[sizeof(name) - 1] = 0;
	expect_refused(b, name, "name has only");
	snprintf(expected, sizeof(expected), "no absent.so in /nowhere, %s", directory);
	expect_refused(b, "absent", expected);
	backends_free(b);
}

Test(backend_loader, what_is_no_backend)
{
	const struct modeld_backend *backend = NULL;
	struct modeld_error error = {.size = sizeof(error)};
	struct backends *b = make();

	compile_text("int something_else;", "empty");
	expect_refused(b, "empty", "does not export modeld_backend()");
	compile_text("const struct modeld_backend *modeld_backend(const struct modeld_host *h)\n"
		     "{ (void)h; return NULL; }",
		"unwilling");
	cr_expect_eq(backends_get(b, "unwilling", &backend, &error), BACKEND_E_UNWILLING);
	cr_expect(strstr(error.text, "not willing"), "%s", error.text);
	compile_text("static const struct modeld_backend b = {.size = sizeof(b), .abi = 7};\n"
		     "const struct modeld_backend *modeld_backend(const struct modeld_host *h)\n"
		     "{ (void)h; return &b; }",
		"newer");
	expect_refused(b, "newer", "version 7 of backend.h, this worker has 2");
	/* A table of the first version began with its number. */
	compile_text("struct old { unsigned abi; const char *name; void *f[4]; };\n"
		     "static const struct old b = {1, \"old\", {0}};\n"
		     "const struct modeld_backend *modeld_backend(const struct modeld_host *h)\n"
		     "{ (void)h; return (const void *)&b; }",
		"old");
	expect_refused(b, "old", "version 1 of backend.h, this worker has 2");
	compile_text(
		"static const struct modeld_backend b = {.size = 16, .abi = MODELD_BACKEND_ABI};\n"
		"const struct modeld_backend *modeld_backend(const struct modeld_host *h)\n"
		"{ (void)h; return &b; }",
		"short");
	expect_refused(b, "short", "its table has 16 bytes");
	compile_text("static enum modeld_code load(const struct modeld_model_spec *s, void **m,\n"
		     "	struct modeld_model_info *i, struct modeld_error *e)\n"
		     "{ (void)s; (void)m; (void)i; (void)e; return MODELD_OK; }\n"
		     "static enum modeld_code run(void *m, const struct modeld_batch *b,\n"
		     "	struct modeld_error *e) { (void)m; (void)b; (void)e; return MODELD_OK; }\n"
		     "static void unload(void *m) { (void)m; }\n"
		     "static const struct modeld_backend b = {.size = sizeof(b),\n"
		     "	.abi = MODELD_BACKEND_ABI, .load = load, .run = run, .unload = unload,\n"
		     "	.instance_free = unload};\n"
		     "const struct modeld_backend *modeld_backend(const struct modeld_host *h)\n"
		     "{ (void)h; return &b; }",
		"half");
	expect_refused(b, "half", "one of instance_create and instance_free");
	compile_text("static const struct modeld_backend b = {.size = sizeof(b), .abi = "
		     "MODELD_BACKEND_ABI};\n"
		     "const struct modeld_backend *modeld_backend(const struct modeld_host *h)\n"
		     "{ (void)h; return &b; }",
		"hollow");
	expect_refused(b, "hollow", "lacks one of");
	compile_text("void not_defined_anywhere(void);\n"
		     "const struct modeld_backend *modeld_backend(const struct modeld_host *h)\n"
		     "{ (void)h; not_defined_anywhere(); return NULL; }",
		"unresolved");
	expect_refused(b, "unresolved", "not_defined_anywhere");
	backends_free(b);
}

/* Its table is that of the first header of this number. It says nothing of its settings. */
Test(backend_loader, a_table_without_later_members)
{
	static const struct wire_load ask = {
		.name = "", .version = "", .path = "", .backend = "early"};
	const struct modeld_faults faults = {.size = sizeof(faults)};
	struct backends *b = make();
	struct modeld_error error = {.size = sizeof(error)};
	bool unjudged = false;

	compile_text("static enum modeld_code load(const struct modeld_model_spec *s, void **m,\n"
		     "	struct modeld_model_info *i, struct modeld_error *e)\n"
		     "{ (void)s; (void)m; (void)i; (void)e; return MODELD_OK; }\n"
		     "static enum modeld_code run(void *m, const struct modeld_batch *b,\n"
		     "	struct modeld_error *e) { (void)m; (void)b; (void)e; return MODELD_OK; }\n"
		     "static void unload(void *m) { (void)m; }\n"
		     "static const struct modeld_backend b = {\n"
		     "	.size = offsetof(struct modeld_backend, instances),\n"
		     "	.abi = MODELD_BACKEND_ABI, .load = load, .run = run, .unload = unload,\n"
		     "	.check = (void *)load};\n"
		     "const struct modeld_backend *modeld_backend(const struct modeld_host *h)\n"
		     "{ (void)h; return &b; }",
		"early");
	cr_expect_eq(model_check(b, &ask, &faults, &unjudged, &error), 0);
	cr_expect(unjudged);
	backends_free(b);
}

/* --- Declarations that are not believed --------------------------------------------------- */

static const char declaring[] =
	"#define SIZE sizeof(struct modeld_declaration)\n"
	"#define T(name_, dtype_, any_, rank_, ...) {.size = SIZE, .name = name_, .dtype = "
	"dtype_,\\\n"
	"	.any_shape = any_, .rank = rank_, .dims = {__VA_ARGS__}}\n"
	"static const struct modeld_declaration in[1025] = {%s};\n"
	"static enum modeld_code load(const struct modeld_model_spec *s, void **m,\n"
	"	struct modeld_model_info *i, struct modeld_error *e)\n"
	"{ (void)s; (void)e; *m = (void *)in;\n"
	"  *i = (struct modeld_model_info){SIZE, %s}; return MODELD_OK; }\n"
	"static enum modeld_code run(void *m, const struct modeld_batch *b, struct modeld_error "
	"*e)\n"
	"{ (void)m; (void)b; (void)e; return MODELD_OK; }\n"
	"static void unload(void *m) { (void)m; }\n"
	"static const struct modeld_backend b = {.size = sizeof(b), .abi = MODELD_BACKEND_ABI,\n"
	"	.name = \"b\", .load = load, .run = run, .unload = unload};\n"
	"const struct modeld_backend *modeld_backend(const struct modeld_host *h)\n"
	"{ (void)h; return &b; }\n";

static const struct {
	const char *tensors;
	const char *info;
	const char *error; /* NULL: fine */
} declarations[] = {
	{"T(\"a\", 1, 0, 2, -1, 3)", "in, 1, in, 1, 1, 0", NULL},
	{"{0}", "in, 0, in, 0, 0, 0", NULL},
	{"T(NULL, 1, 0, 0, 0)", "in, 1, in, 0, 0, 0", "has no name"},
	{"{0}", "in, 1, in, 0, 0, 0", "input 0 has a size of 0"},
	{"{.size = SIZE, .name = \"a\", .dtype = 1, .memory = 4}", "in, 1, in, 0, 0, 0",
		"device memory"},
	{"T(\"\", 1, 0, 0, 0)", "in, 1, in, 0, 0, 0", "has no name"},
	{"T(\"a\", 15, 0, 0, 0)", "in, 1, in, 0, 0, 0", "unknown dtype"},
	{"T(\"a\", 1, 0, 17, 0)", "in, 0, in, 1, 0, 0", "output 0 has more than 16"},
	{"T(\"a\", 1, 0, 1, -2)", "in, 1, in, 0, 0, 0", "below -1"},
	{"T(\"a\", 1, 0, 1, 4)", "in, 1, in, 0, 1, 0", "no free first dimension"},
	{"T(\"a\", 1, 0, 0, 0)", "in, 1, in, 0, 1, 0", "no free first dimension"},
	{"T(\"a\", 1, 1, 0, 0)", "in, 1, in, 0, 1, 0", "any shape, but"},
	{"T(\"a\", 1, 0, 0, 0), T(\"a\", 1, 0, 0, 0)", "in, 2, in, 0, 0, 0", "name of another"},
	{"{0}", "in, 1025, in, 0, 0, 0", "at most 1024"},
	{"{0}", "NULL, 1, in, 0, 0, 0", "declares 1 inputs"},
	{"{0}", "in, 0, in, 0, 1, 0", "without inputs"},
	{"T(\"a\", 1, 0, 1, -1)", "in, 1, in, 0, 1, 1", "batches and is decoupled"},
	{"T(\"a\", 1, 0, 1, -1)", "in, 1, in, 1, 0, 1", NULL},
};

Test(backend_loader, declarations)
{
	struct backends *b = make();

	for (size_t i = 0; i < sizeof(declarations) / sizeof(declarations[0]); i++) {
		char name[16], text[2048];
		struct wire_load load = {.name = "m", .version = "1", .path = "/", .backend = name};
		struct modeld_error error = {.size = sizeof(error)};
		_cleanup_(model_unloadp) struct model *m = NULL;
		int r;

		snprintf(name, sizeof(name), "d%zu", i);
		snprintf(text, sizeof(text), declaring, declarations[i].tensors,
			declarations[i].info);
		compile_text(text, name);
		r = model_load(&m, b, NULL, &load, &error);
		cr_assert_eq(r, declarations[i].error ? MODEL_E_FAILED : 0, "%zu", i);
		cr_assert(strstr(error.text, declarations[i].error ? declarations[i].error : ""),
			"%zu: %s", i, error.text);
	}
	backends_free(b);
}

/* --- Instances ---------------------------------------------------------------------------- */

/* memory_usage() tells what was called: instances made, warmed, freed. */
static const char counting[] =
	"static unsigned made, warmed, freed;\n"
	"static enum modeld_code load(const struct modeld_model_spec *s, void **m,\n"
	"	struct modeld_model_info *i, struct modeld_error *e)\n"
	"{ (void)i; (void)e; *m = (void *)s; return MODELD_OK; }\n"
	"static void unload(void *m) { (void)m; }\n"
	"static enum modeld_code create(void *m, const struct modeld_instance_spec *s, void **i,\n"
	"	struct modeld_error *e) { (void)e; *i = m; made += 1 + s->index; return %s; }\n"
	"static void release(void *i) { (void)i; freed++; }\n"
	"static enum modeld_code warm(void *i, struct modeld_error *e)\n"
	"{ (void)i; e->text[0] = 'w'; warmed++; return %s; }\n"
	"static enum modeld_code run(void *m, const struct modeld_batch *b, struct modeld_error "
	"*e)\n"
	"{ (void)m; (void)b; (void)e; return MODELD_OK; }\n"
	"static uint64_t usage(void *m) { (void)m; return made * 100 + warmed * 10 + freed; }\n"
	"static const struct modeld_backend b = {.size = sizeof(b), .abi = MODELD_BACKEND_ABI,\n"
	"	.name = \"b\", .load = load, .unload = unload, .instance_create = create,\n"
	"	.instance_free = release, .run = run, .warm = warm, .memory_usage = usage};\n"
	"const struct modeld_backend *modeld_backend(const struct modeld_host *h)\n"
	"{ (void)h; return &b; }\n";

static int load_counting(struct backends *b, const char *name, const char *create, const char *warm,
	uint64_t *ret_counted)
{
	const struct wire_load load = {.name = "m", .version = "1", .path = "/", .backend = name};
	struct modeld_error error = {.size = sizeof(error)};
	const struct modeld_backend *backend;
	_cleanup_(model_unloadp) struct model *m = NULL;
	char text[4096];
	int r;

	snprintf(text, sizeof(text), counting, create, warm);
	compile_text(text, name);
	r = model_load(&m, b, NULL, &load, &error);
	cr_assert_eq(backends_get(b, name, &backend, &error), 0);
	*ret_counted = backend->memory_usage(NULL);
	return r;
}

Test(backend_loader, an_instance_is_made_and_warmed_before_the_model_is_loaded)
{
	struct backends *b = make();
	uint64_t counted;

	cr_assert_eq(load_counting(b, "fine", "MODELD_OK", "MODELD_OK", &counted), 0);
	cr_assert_eq(counted, 110);
	cr_assert_eq(load_counting(b, "none", "MODELD_EXHAUSTED", "MODELD_OK", &counted),
		MODEL_E_FAILED);
	cr_assert_eq(counted, 100, "one that was not made is not freed");
	cr_assert_eq(
		load_counting(b, "cold", "MODELD_OK", "MODELD_INTERNAL", &counted), MODEL_E_FAILED);
	cr_assert_eq(counted, 111);
	cr_assert_eq(
		load_counting(b, "lost", "MODELD_OK", "MODELD_FATAL", &counted), MODEL_E_FATAL);
	backends_free(b);
}

static uint32_t lanes_of(struct backends *b, struct device *d, const char *backend, uint32_t asked)
{
	const struct wire_load load = {.name = "identity",
		.version = "1",
		.path = "/",
		.backend = backend,
		.instances = asked};
	struct modeld_error error = {.size = sizeof(error)};
	_cleanup_(model_unloadp) struct model *m = NULL;

	cr_assert_eq(model_load(&m, b, d, &load, &error), 0, "%s", error.text);
	return m->n_lanes;
}

Test(backend_loader, where_nobody_says_how_many_instances_the_device_does)
{
	struct backends *b = make();
	struct device *cpu, *gpu;
	char text[DEVICE_TEXT_MAX];
	uint64_t counted;

	fakecuda_reset("");
	cr_assert_eq(device_open(&cpu, "cpu:0", text), 0, "%s", text);
	cr_assert_eq(device_open(&gpu, "cuda:0", text), 0, "%s", text);
	cr_assert_eq(load_counting(b, "many", "MODELD_OK", "MODELD_OK", &counted), 0);
	cr_expect_eq(lanes_of(b, cpu, "many", 0), 1);
	cr_expect_eq(lanes_of(b, gpu, "many", 0), 3);
	cr_expect_eq(lanes_of(b, gpu, "many", 1), 1);
	cr_expect_eq(lanes_of(b, gpu, "builtin", 0), 1, "it says so itself");
	device_free(cpu);
	device_free(gpu);
	backends_free(b);
}

/* --- The example -------------------------------------------------------------------------- */

static const struct wire_loaded *load_scale(struct fake_daemon *d, const char *factor)
{
	const struct wire_pair pair = {"factor", factor};
	const char *directories[] = {directory};
	struct wire_setup setup = fake_daemon_setup();
	const struct wire_message m = {
		.type = WIRE_LOAD,
		.load = {.name = "half",
			.version = "1",
			.path = "/",
			.backend = "scale",
			.max_batch_size = 8,
			.parameters = &pair,
			.n_parameters = 1},
	};

	setup.backend_dirs = directories;
	setup.n_backend_dirs = 1;
	fake_daemon_start(d);
	fake_daemon_greet(d, &setup);
	fake_daemon_send(d, &m);
	return &fake_daemon_receive(d, WIRE_LOADED)->loaded;
}

Test(backend_loader, example_of_the_documentation_serves)
{
	float values[2][3] = {{1, 2, 3}, {-4, 0, INFINITY}};
	int64_t dims[] = {1, 3};
	struct wire_tensor inputs[2];
	struct wire_item items[2];
	struct wire_message m = {.type = WIRE_RUN, .run = {1, 0, items, 2}};
	const struct wire_loaded *l;
	const struct wire_done *done;
	struct fake_daemon d;

	compile("docs/examples/scale_backend.c", "scale");
	l = load_scale(&d, "0.5");
	cr_assert(l->ok, "%s", l->error);
	cr_assert_eq(l->max_batch_size, 8);
	for (int i = 0; i < 2; i++) {
		inputs[i] = (struct wire_tensor){
			0, DTYPE_F32, 2, dims, fake_daemon_put(&d, values[i], sizeof(values[i]))};
		items[i] = (struct wire_item){.inputs = &inputs[i], .n_inputs = 1};
	}
	fake_daemon_send(&d, &m);
	done = &fake_daemon_receive(&d, WIRE_DONE)->done;
	for (int i = 0; i < 2; i++) {
		const float *out;

		cr_assert_eq(done->results[i].code, GRPC_OK, "%s", done->results[i].message);
		out = view_data(d.output, &done->results[i].outputs[0].span);
		for (int k = 0; k < 3; k++)
			cr_assert_eq(out[k], values[i][k] * 0.5f);
	}
	cr_assert_eq(fake_daemon_end(&d), WORKER_EXIT_OK);
}

Test(backend_loader, example_of_the_documentation_says_what_is_wrong)
{
	const struct wire_loaded *l;
	struct fake_daemon d;

	compile("docs/examples/scale_backend.c", "scale");
	l = load_scale(&d, "much");
	cr_assert_not(l->ok);
	cr_assert(strstr(l->error, "factor"), "%s", l->error);
	cr_assert_eq(fake_daemon_end(&d), WORKER_EXIT_OK);
}
