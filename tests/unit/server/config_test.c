/* Tests of config.c: files, --set, and that every error says where it is. */
#include "config.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config_private.h"
#include "tests/support/failalloc.h"

static struct config c;
static char text[1024];

static void setup(void)
{
	cr_assert_eq(config_init(&c), 0);
	text[0] = 0;
}

static void teardown(void)
{
	config_release(&c);
}

TestSuite(config, .init = setup, .fini = teardown);

static int load(const char *data)
{
	return config_load_memory(&c, "f.conf", data, strlen(data), text, sizeof(text));
}

static void bad(const char *data, const char *expected)
{
	cr_assert_eq(load(data), CONFIG_E_INVALID);
	cr_expect_str_eq(text, expected);
}

static int set(const char *assignment)
{
	return config_set(&c, assignment, text, sizeof(text));
}

static void bad_set(const char *assignment, const char *expected)
{
	cr_assert_eq(set(assignment), CONFIG_E_INVALID);
	cr_expect_str_eq(text, expected);
}

static void finish(void)
{
	cr_assert_eq(config_finish(&c, text, sizeof(text)), 0, "%s", text);
}

Test(config, nothing_said_is_all_defaults)
{
	cr_assert_eq(load(""), 0);
	finish();
	cr_expect_eq(c.models.defaults.max_batch_size, 8);
	cr_expect_eq(c.drain_timeout_ms, 25000);
	cr_expect_str_eq(c.frontend.listen[0], "0.0.0.0:50052");
	cr_expect_null(c.frontend.unix_group);
	cr_expect_eq(c.dispatch.arena.limit, UINT64_C(1) << 30);
	cr_expect_eq(c.dispatch.default_max_batch_size, 8);
	cr_expect_eq(c.dispatch.max_state_bytes, 8u << 20);
}

Test(config, what_the_file_says)
{
	cr_assert_eq(load("# a comment\n[model]\nmax_batch_size = 3 ; rows\n\n[memory]\n"
			  "input_arena_bytes=2M\n"),
		0);
	finish();
	cr_expect_eq(c.models.defaults.max_batch_size, 3);
	cr_expect_eq(c.dispatch.arena.limit, 2u << 20);
}

Test(config, unknown_key)
{
	bad("[model]\n\nmax_batch = 3\n", "f.conf:3: unknown key [model] max_batch");
}

Test(config, unknown_section)
{
	bad("[modell]\nmax_batch_size = 3\n",
		"f.conf:2: unknown key [modell] max_batch_size (is [model] max_batch_size meant?)");
}

Test(config, key_before_any_section)
{
	bad("x = 1\n", "f.conf:1: unknown key [] x (it stands before the first [section])");
}

Test(config, each_that_is_wrong)
{
	bad("x = 1\n[model]\nmax_batch_size = many\nno assignment\n[limits]\nmax_connections = 0\n",
		"f.conf:1: unknown key [] x (it stands before the first [section])\n"
		"f.conf:3: [model] max_batch_size: 'many' is not a whole number\n"
		"f.conf:6: [limits] max_connections: 0 is out of range: 1 to 1000000\n"
		"f.conf:4: neither [section] nor key = value");
}

Test(config, as_many_as_there_is_room_for)
{
	char small[64], data[] = "[model]\na = 1\nb = 2\nc = 3\nd = 4\n";

	cr_assert_eq(config_load_memory(&c, "f.conf", data, strlen(data), small, sizeof(small)),
		CONFIG_E_INVALID);
	cr_expect_eq(strlen(small), sizeof(small) - 1);
	cr_expect(strstr(small, "f.conf:2: unknown key [model] a\nf.conf:3: "), "%s", small);
}

Test(config, where_a_key_was_set)
{
	cr_assert_eq(load("[model]\nmax_batch_size = 3\n[server]\nlisten = a:1\n  b:2\n"), 0);
	cr_assert_eq(set("server.unix_group=x"), 0);
	cr_expect_str_eq(config_where(&c, "model", "max_batch_size"), "f.conf:2");
	cr_expect_str_eq(config_where(&c, "server", "listen"), "f.conf:4");
	cr_expect_str_eq(config_where(&c, "server", "unix_group"), "--set server.unix_group");
	cr_expect_null(config_where(&c, "limits", "max_connections"));
}

Test(config, what_does_not_go_together_says_where_it_was_set)
{
	cr_assert_eq(load("[http2]\nconnection_window_bytes = 65535\nstream_window_bytes = 1M\n"),
		0, "%s", text);
	cr_assert_eq(config_finish(&c, text, sizeof(text)), CONFIG_E_INVALID);
	cr_expect(strstr(text, "f.conf:2: [http2] connection_window_bytes (65535) must not"), "%s",
		text);
}

Test(config, set_twice)
{
	bad("[model]\nmax_batch_size = 3\nmax_batch_size = 4\n",
		"f.conf:3: [model] max_batch_size: is set twice");
}

Test(config, backend_key_set_twice)
{
	bad("[backend.x]\na = 3\na = 4\n", "f.conf:3: [backend.x] a: is set twice");
}

Test(config, bad_value)
{
	bad("[model]\nmax_batch_size = many\n",
		"f.conf:2: [model] max_batch_size: 'many' is not a whole number");
}

Test(config, no_assignment)
{
	bad("[model]\nmax_batch_size\n", "f.conf:2: neither [section] nor key = value");
}

Test(config, open_section)
{
	bad("[model\n", "f.conf:1: neither [section] nor key = value");
}

Test(config, a_value_does_not_go_on)
{
	bad("[model]\nmax_batch_size = 3\n  4\n",
		"f.conf:3: [model] max_batch_size: only a list may go on in an indented line");
}

Test(config, a_backend_value_does_not_go_on)
{
	bad("[backend.x]\na = 3\n  4\n",
		"f.conf:3: [backend.x] a: only a list may go on in an indented line");
}

Test(config, names_of_backend_settings)
{
	bad("[backend.x]\na b = 3\n",
		"f.conf:2: [backend.x] a b: a setting's name has only letters, digits, _, - and .");
	bad_set("backend.x.a =3", "--set backend.x.a : [backend.x] a : a setting's name has only "
				  "letters, digits, _, - and .");
	cr_expect_eq(load("[backend.x]\nA.b-c_1 = 3\n"), 0);
}

Test(config, a_list_goes_on)
{
	cr_assert_eq(load("[server]\nlisten = a:1, b:2\n\tc:3\n  unix:d\n[models]\n  serve = x\n"),
		0, "%s", text);
	finish();
	cr_expect_str_eq(c.frontend.listen[1], "b:2");
	cr_expect_str_eq(c.frontend.listen[2], "c:3");
	cr_expect_null(c.frontend.listen[4]);
	cr_expect_str_eq(c.models.serve[0], "x");
}

Test(config, a_file_that_is_not_there)
{
	cr_assert_eq(config_load_file(&c, "/nonexistent/f", text, sizeof(text)), CONFIG_E_INVALID);
	cr_expect_str_eq(text, "/nonexistent/f: cannot be opened: No such file or directory");
}

Test(config, a_directory)
{
	cr_assert_eq(config_load_file(&c, "/", text, sizeof(text)), CONFIG_E_INVALID);
	cr_expect_str_eq(text, "/: cannot be read: Is a directory");
}

/* --- --set -------------------------------------------------------------------------------------- */

Test(config, the_command_line_overrides)
{
	cr_assert_eq(load("[model]\nmax_batch_size = 3\n"), 0);
	cr_assert_eq(set("model.max_batch_size=5"), 0);
	cr_assert_eq(set("model.max_batch_size=6"), 0);
	finish();
	cr_expect_eq(c.models.defaults.max_batch_size, 6);
}

Test(config, backend_settings)
{
	cr_assert_eq(load("[backend.onnxruntime]\nlibrary = /a\nthreads = 1\n"), 0);
	cr_assert_eq(set("backend.onnxruntime.library=/b=c"), 0);
	finish();
	cr_assert_eq(c.pool.n_settings, 2);
	cr_expect_str_eq(c.pool.settings[0].key, "onnxruntime.library");
	cr_expect_str_eq(c.pool.settings[0].value, "/b=c");
	cr_expect_str_eq(c.pool.settings[1].key, "onnxruntime.threads");
}

Test(config, set_needs_a_section_and_a_key)
{
	static const char *const wrong[] = {"", "=", "model", "model=", "max_batch_size=3",
		".max_batch_size=3", "model.=3", "=model.max_batch_size"};
	char expected[128];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(expected, sizeof(expected), "--set %s: expected section.key=value",
			wrong[i]);
		bad_set(wrong[i], expected);
	}
}

Test(config, set_names_the_option)
{
	bad_set("model.x=1", "--set model.x: unknown key [model] x");
	bad_set("model.max_queue_size=0", "--set model.max_queue_size: [model] max_queue_size: 0 "
					  "is out of range: 1 to 1000000");
	bad_set("backend.UP.x=1", "--set backend.UP.x: unknown key [backend.UP] x");
}

Test(config, set_takes_what_a_file_could_hold)
{
	bad_set("server.unix_group=a\nb", "--set server.unix_group: [server] unix_group: must not "
					  "contain control characters");
	bad_set("server.unix_group= a",
		"--set server.unix_group: [server] unix_group: must not begin or end with a space");
	bad_set("server.unix_group=a ;b", "--set server.unix_group: [server] unix_group: must not "
					  "contain ' ;', which begins a "
					  "comment");
	cr_expect_eq(set("server.unix_group=a;b"), 0);
}

Test(config, backend_settings_are_bounded)
{
	char assignment[WIRE_TEXT_MAX + 64];

	memset(assignment, 'v', sizeof(assignment));
	assignment[sizeof(assignment) - 1] = 0;
	memcpy(assignment, "backend.x.key=", 14);
	bad_set(assignment, "--set backend.x.key: [backend.x] key: is too long");
	for (int i = 0; i < 65; i++) {
		snprintf(assignment, sizeof(assignment), "backend.x.k%d=1", i);
		cr_assert_eq(set(assignment), 0);
	}
	cr_assert_eq(config_finish(&c, text, sizeof(text)), CONFIG_E_INVALID);
	cr_expect_str_eq(
		text, "[backend.*]: 65 settings of 380 bytes, at most 64 of 65536 are allowed");
}

/* --- Printing ------------------------------------------------------------------------------------ */

static char *print(const struct config *config)
{
	char *out = NULL;
	size_t n;
	FILE *f = open_memstream(&out, &n);

	config_print(config, f);
	fclose(f);
	return out;
}

Test(config, what_is_printed_can_be_read_again)
{
	char *first, *second;
	struct config again;
	char serve[2048] = "models.serve=a0";

	for (int i = 1; i < 90; i++)
		snprintf(serve + strlen(serve), sizeof(serve) - strlen(serve), ",  model-%d", i);
	cr_assert_eq(set(serve), 0);
	cr_assert_eq(set("worker.workers=cpu:0 x2, cuda:1"), 0);
	cr_assert_eq(set("backend.b.k=v w"), 0);
	finish();
	first = print(&c);
	cr_assert_eq(config_init(&again), 0);
	cr_assert_eq(
		config_load_memory(&again, "printed", first, strlen(first), text, sizeof(text)), 0,
		"%s", text);
	cr_assert_eq(config_finish(&again, text, sizeof(text)), 0, "%s", text);
	second = print(&again);
	cr_expect_str_eq(second, first);
	cr_expect_str_eq(again.models.serve[89], "model-89");
	cr_expect_eq(again.pool.places[0].count, 2);
	cr_expect_str_eq(again.pool.settings[0].value, "v w");
	cr_expect_not_null(strstr(first, "\nworkers = cpu:0 x2, cuda:1\n"));
	config_release(&again);
	free(first);
	free(second);
}

/* --- Failures everywhere ------------------------------------------------------------------------- */

static int life(void *arg)
{
	static const char data[] = "[server]\nlisten = a:1\n  b:2\n[backend.x]\na = 1\n";
	struct config config;
	char message[256];
	int r = config_init(&config);

	if (r)
		return r;
	r = config_load_memory(&config, "f", data, sizeof(data) - 1, message, sizeof(message));
	if (!r)
		r = config_set(&config, "backend.x.a=2", message, sizeof(message));
	if (!r)
		r = config_finish(&config, message, sizeof(message));
	cr_assert(r <= 0, "%s", message);
	config_release(&config);
	return r;
}

Test(config, every_failure_leaves_nothing_behind)
{
	FAULT_LOOP_KINDS(life, NULL, FAIL_ALLOCATIONS);
}

Test(config, releasing_twice_is_harmless)
{
	config_release(&c);
	config_release(&c);
}

Test(config, variables_of_the_environment)
{
	cr_assert_eq(setenv("MODEL_ID", "digits", 1), 0);
	cr_assert_eq(unsetenv("DEVICE"), 0);
	cr_expect_eq(
		load("[models]\ndefault = ${MODEL_ID}\n[worker]\nworkers = ${DEVICE:-cpu:0 x2}\n"),
		0, "%s", text);
	cr_expect_eq(set("dispatch.retry_wait_ms=${NOBODY:-77}"), 0, "%s", text);
	cr_assert_eq(config_finish(&c, text, sizeof(text)), 0, "%s", text);
	cr_expect_str_eq(c.dispatch.default_model, "digits");
	cr_expect_eq(c.pool.places[0].count, 2);
}

Test(config, a_variable_that_is_not_there)
{
	cr_assert_eq(unsetenv("NOBODY"), 0);
	bad("[models]\ndefault = ${NOBODY}\n",
		"f.conf:2: [models] default: the environment has no NOBODY; ${NOBODY:-text} says "
		"what is meant without it");
	bad("[backend.python]\ninterpreter = ${NOBODY\n",
		"f.conf:2: [backend.python] interpreter: ${ has no }");
}
