/*
 * model_check_test.c: a model is tried by its worker program; here that is a shell's script of the same name. One that is
 * loaded has this program for its worker: started with FAKE_LOAD in its environment it never reaches main().
 */
#include "model_check.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/seqpacket.h"
#include "config.h"
#include "dispatch/version_settings.h"
#include "proto/wire.h"
#include "tests/support/failalloc.h"

static struct config c;
static char directory[] = "/tmp/modeld-check-XXXXXX";
static char path[64];
static const char *argv[] = {path, NULL};
static const struct pool_program program = {.backend = "python", .argv = argv};
static const struct pool_place place = {"cpu:0", 1};
static const struct version_settings model = {
	.name = "m", .version = "1", .path = "/models/m/1", .backend = "python"};
static char said[4096];

static void setup(void)
{
	cr_assert(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/modeld-python", directory);
	cr_assert_eq(config_init(&c), 0);
	c.pool.programs = &program;
	c.pool.n_programs = 1;
	c.pool.places = &place;
	c.pool.n_places = 1;
	c.pool.load_timeout_ms = 60000;
}

static void teardown(void)
{
	unlink(path);
	rmdir(directory);
	config_release(&c);
}

TestSuite(model_check, .init = setup, .fini = teardown);

static void say(const struct version_settings *v, const char *line)
{
	size_t n = strlen(said);

	cr_assert_eq(v, &model);
	snprintf(said + n, sizeof(said) - n, "%s|", line);
}

static int try_it(const char *script, char *why, size_t cap)
{
	FILE *f = fopen(path, "w");

	cr_assert(f);
	fprintf(f, "#!/bin/sh\n%s\n", script);
	fclose(f);
	cr_assert_eq(chmod(path, 0700), 0);
	said[0] = '\0';
	return model_check(&c, &model, say, why, cap);
}

Test(model_check, what_it_declares_is_said)
{
	unsigned fds = failalloc_open_fds();
	char why[128] = "";

	cr_assert_eq(try_it("echo not this; echo input x >&3; echo \"$1 $2 $3 $MODELD_DEVICE\" >&3",
			     why, sizeof(why)),
		0, "%s", why);
	cr_expect_str_eq(said, "input x|--check /models/m/1 python cpu:0|");
	cr_expect_eq(failalloc_open_fds(), fds);
}

Test(model_check, long_lines_are_cut)
{
	char why[128] = "";

	cr_assert_eq(try_it("printf '%0600d\\n' 1 >&3", why, sizeof(why)), 0, "%s", why);
	cr_expect_eq(strlen(said), 602);
	cr_expect_eq(strchr(said, '|') - said, 511);
}

Test(model_check, how_it_failed)
{
	char why[128] = "";

	cr_expect_eq(try_it("echo half >&3; exit 3", why, sizeof(why)), -ENOEXEC);
	cr_expect_str_eq(why, "its code cannot be loaded (exit status 3)");
	cr_expect_str_eq(said, "half|");
	cr_expect_eq(try_it("kill -SEGV $$", why, sizeof(why)), -ENOEXEC);
	cr_expect_str_eq(why, "its code ended by signal 11");
	chmod(path, 0600);
	cr_expect_eq(model_check(&c, &model, say, why, sizeof(why)), -EACCES);
	cr_expect(strstr(why, "cannot be tried"), "%s", why);
}

/* What it leaves behind ends with it, whoever holds the pipe. */
Test(model_check, it_has_so_much_time)
{
	char why[128] = "";

	cr_assert_eq(try_it("sleep 1000 & exit 0", why, sizeof(why)), 0, "%s", why);
	c.pool.load_timeout_ms = 50;
	cr_expect_eq(try_it("sleep 1000", why, sizeof(why)), -ETIMEDOUT);
	cr_expect(strstr(why, "load_timeout_ms"), "%s", why);
}

Test(model_check, what_can_be_tried)
{
	struct version_settings other = model;

	cr_expect(model_check_applies(&c, &model));
	other.backend = "onnxruntime";
	cr_expect_not(model_check_applies(&c, &other));
	argv[0] = "/bin/mine";
	cr_expect_not(model_check_applies(&c, &model));
}

/* --- Files of warm-ups ---------------------------------------------------------------------------- */

static char warmups_at[64], warmup_file[80];

/* A row of three numbers is expected of n bytes. */
static int check_file(size_t n, char why[512])
{
	static const int64_t dims[] = {3};
	static const struct wire_warmup_input inputs[] = {
		{.name = "zeros", .dtype = DTYPE_F32, .rank = 1, .dims = dims, .file = ""},
		{.name = "real", .dtype = DTYPE_F32, .rank = 1, .dims = dims, .file = "f.raw"}};
	static const struct wire_warmup warmup = {
		.name = "w", .batch_size = 8, .count = 1, .inputs = inputs, .n_inputs = 2};
	struct version_settings v = model;
	FILE *f;
	int r;

	snprintf(warmups_at, sizeof(warmups_at), "%s/warmup", directory);
	snprintf(warmup_file, sizeof(warmup_file), "%s/f.raw", warmups_at);
	cr_assert_eq(mkdir(warmups_at, 0755), 0);
	f = n ? fopen(warmup_file, "we") : NULL;
	for (size_t i = 0; i < n; i++)
		fputc('x', f);
	if (f)
		fclose(f);
	v.warmup_path = warmups_at;
	v.warmups = &warmup;
	v.n_warmups = 1;
	r = model_check_warmups(&v, why, 512);
	unlink(warmup_file);
	rmdir(warmups_at);
	return r;
}

Test(model_check, files_of_warmups)
{
	char why[512];

	cr_expect_eq(model_check_warmups(&model, why, sizeof(why)), 0);
	cr_expect_eq(check_file(12, why), 0, "%s", why);
	cr_expect_eq(check_file(8, why), -EINVAL);
	cr_expect(strstr(why, "warm-up 'w': input 'real': ") && strstr(why, "12"), "%s", why);
	cr_expect_eq(check_file(0, why), -EINVAL);
	cr_expect(strstr(why, "f.raw: No such file or directory"), "%s", why);
}

/* --- A worker that loads -------------------------------------------------------------------------- */

#define FAKE_LOAD "FAKE_LOAD"

struct fake {
	struct wire_scratch *in, *out;
	uint8_t record[WIRE_MESSAGE_MAX];
};

static void must(bool ok)
{
	if (!ok)
		_exit(99);
}

static void fake_say(struct fake *f, const struct wire_message *m, int fd)
{
	const uint8_t *data;
	size_t n;

	must(!wire_pack(f->out, m, &data, &n));
	must(!seqpacket_send(3, data, n, &fd, fd >= 0 ? 1 : 0, 0));
}

static const struct wire_message *fake_hear(struct fake *f, enum wire_type type)
{
	const struct wire_message *m;
	size_t n, used;

	must(!seqpacket_recv(3, f->record, sizeof(f->record), &n, NULL, 0, NULL, 0));
	must(!wire_unpack(f->in, f->record, n, &used, &m) && m->type == type);
	return m;
}

static void fake_answer(struct fake *f, const char *word, const struct wire_load *load)
{
	static const int64_t dims[] = {-1, 2};
	const struct wire_declaration x = {
		.name = load->name, .dtype = DTYPE_F32, .rank = 2, .dims = dims};
	struct wire_message m = {.type = WIRE_LOADED,
		.loaded = {.model = load->model,
			.ok = strcmp(word, "bad") != 0,
			.error = "no such\nfile",
			.inputs = &x,
			.n_inputs = 1,
			.max_batch_size = load->max_batch_size}};

	must(load->instances == 1 && load->n_warmups == 1 && !strcmp(load->path, "/models/m/1"));
	if (!strcmp(word, "hang"))
		pause();
	if (!strcmp(word, "exit"))
		_exit(3);
	if (!strcmp(word, "garbage"))
		must(!seqpacket_send(3, "\377\377", 2, NULL, 0, 0));
	fake_say(f, &m, -1);
	pause();
}

__attribute__((constructor)) static void fake_worker(void)
{
	static struct fake f;
	const char *word = getenv(FAKE_LOAD);
	const struct wire_message *m;

	if (!word)
		return;
	must(!wire_scratch_new(&f.in) && !wire_scratch_new(&f.out));
	m = fake_hear(&f, WIRE_SETUP);
	must(m->setup.slots > 0 && m->setup.output_populate_first == 0 &&
		!strcmp(m->setup.device, "cpu:0"));
	fake_say(&f,
		&(struct wire_message){.type = WIRE_HELLO,
			.hello = {.protocol = WIRE_PROTOCOL, .slots = m->setup.slots}},
		-1);
	fake_say(&f, &(struct wire_message){.type = WIRE_MAP, .map = {.id = 9, .size = 4096}}, 0);
	fake_answer(&f, word, &fake_hear(&f, WIRE_LOAD)->load);
}

static int load_it(
	const char *word, uint32_t max_batch_size, struct wire_loaded **ret_loaded, char why[128])
{
	static const struct wire_warmup warmup = {.name = "w", .batch_size = 1, .count = 1};
	struct version_settings v = model;

	v.backend = "other";
	v.max_batch_size = max_batch_size;
	v.warmups = &warmup;
	v.n_warmups = 1;
	c.pool.worker_program = "/proc/self/exe";
	c.dispatch.default_max_batch_size = 6;
	c.pool.slots = 2;
	c.pool.output_segment_bytes = 1 << 20;
	c.pool.start_timeout_ms = 1;
	cr_assert_eq(setenv(FAKE_LOAD, word, 1), 0);
	return model_check_load(&c, &v, ret_loaded, why, 128);
}

Test(model_check, what_a_loaded_model_declares)
{
	unsigned fds = failalloc_open_fds();
	struct wire_loaded *l = NULL;
	char why[128] = "";

	cr_assert_eq(load_it("good", 4, &l, why), 0, "%s", why);
	cr_assert(l && l->n_inputs == 1);
	cr_expect_str_eq(l->inputs[0].name, "m");
	cr_expect(l->inputs[0].rank == 2 && l->inputs[0].dims[1] == 2);
	cr_expect_eq(l->max_batch_size, 4);
	free(l);
	cr_assert_eq(load_it("good", UINT32_MAX, &l, why), 0, "%s", why);
	cr_expect_eq(l->max_batch_size, 6, "the default");
	free(l);
	cr_expect_eq(failalloc_open_fds(), fds);
}

Test(model_check, why_it_was_not_loaded)
{
	unsigned fds = failalloc_open_fds();
	struct wire_loaded *l = NULL;
	char why[128] = "";

	cr_expect_eq(load_it("bad", 4, &l, why), -ENOEXEC);
	cr_expect_str_eq(why, "\"no such\\nfile\"");
	cr_expect_eq(load_it("exit", 4, &l, why), -ENOEXEC);
	cr_expect_str_eq(why, "its worker ended before it was loaded (exit status 3)");
	cr_expect_eq(load_it("garbage", 4, &l, why), -EPROTO);
	cr_expect(strstr(why, "cannot be tried"), "%s", why);
	c.pool.load_timeout_ms = 50;
	cr_expect_eq(load_it("hang", 4, &l, why), -ETIMEDOUT);
	cr_expect(strstr(why, "load_timeout_ms"), "%s", why);
	cr_expect_null(l);
	cr_expect_eq(failalloc_open_fds(), fds);
}

static int load_good(void *arg)
{
	struct wire_loaded *l = NULL;
	char why[128] = "";
	int r = load_it("good", 4, &l, why);

	(void)arg;
	cr_expect_eq(!l, r != 0);
	free(l);
	return r;
}

Test(model_check, no_memory)
{
	FAULT_LOOP_KINDS(load_good, NULL, FAIL_ALLOCATIONS);
}
