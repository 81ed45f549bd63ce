/* check_test.c: what --check says of addresses, groups, directories and programs. */
#include "check.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct config config;
static const char *listen_on[3];
static char directory[64], *said;
static size_t n_said;

static void begin(void)
{
	snprintf(directory, sizeof(directory), "/tmp/check_test.XXXXXX");
	cr_assert(mkdtemp(directory));
	listen_on[0] = "127.0.0.1:0";
	listen_on[1] = "unix:/tmp/at-all";
	config = (struct config){.frontend = {.listen = listen_on},
		.pool = {.worker_program = "/bin/true"},
		.runtime_dir = directory};
}

static void end(void)
{
	free(said);
	rmdir(directory);
}

TestSuite(check, .init = begin, .fini = end);

static void expect(unsigned n_faults, const char *text)
{
	FILE *out = open_memstream(&said, &n_said);
	unsigned n = check_surroundings(&config, out);

	cr_assert_eq(fclose(out), 0);
	cr_expect_eq(n, n_faults, "%s", said);
	cr_expect(strstr(said, text), "%s", said);
}

Test(check, all_is_well)
{
	expect(0, "");
	cr_expect_eq(n_said, 0, "%s", said);
}

Test(check, what_is_no_address_and_what_is_not_ours)
{
	listen_on[0] = "nonsense";
	listen_on[1] = "203.0.113.7:0";
	config.metrics.listen = "127.0.0.1:99999";
	expect(3, "[metrics] listen: 127.0.0.1:99999");
	cr_expect(strstr(said, "[server] listen: 203.0.113.7:0: Cannot assign"), "%s", said);
}

/* It may be the daemon itself. */
Test(check, an_address_that_is_in_use_is_no_fault)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char text[32];

	cr_assert_eq(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	cr_assert_eq(listen(fd, 1), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&in, &n), 0);
	snprintf(text, sizeof(text), "127.0.0.1:%d", ntohs(in.sin_port));
	listen_on[0] = text;
	expect(0, "another process has it now");
	close(fd);
}

Test(check, groups_that_there_are_not)
{
	config.frontend.unix_group = "no-such-group";
	config.handoff.unix_group = "nor-this-one";
	expect(2, "[handoff] unix_group: nor-this-one: there is no such group");
}

Test(check, a_runtime_directory)
{
	char path[96], file[160];

	snprintf(path, sizeof(path), "%s/run", directory);
	snprintf(file, sizeof(file), "%s/handoff.sock", path);
	config.runtime_dir = path;
	config.handoff.socket = file;
	expect(0, "");
	cr_expect_neq(access(path, F_OK), 0, "it is made when the daemon starts");
	config.runtime_dir = "/nonexistent/run";
	config.handoff.socket = "/nonexistent/run/handoff.sock";
	free(said);
	expect(1, "[server] runtime_dir: /nonexistent/run");
}

Test(check, a_worker_program_that_is_not_there)
{
	config.pool.worker_program = "/nonexistent/modeld-worker";
	expect(1, "[worker] program: /nonexistent/modeld-worker");
}

Test(check, directories_of_sockets)
{
	static char file[160];

	listen_on[1] = "unix:/nowhere/modeld.sock";
	snprintf(file, sizeof(file), "%s/none/handoff.sock", directory);
	config.handoff.socket = file;
	expect(2, "[server] listen: /nowhere: No such file");
	cr_expect(strstr(said, "[handoff] socket: /tmp/check_test."), "%s", said);
}

Test(check, where_a_key_was_set_and_programs_of_backends)
{
	static const char text[] = "[server]\nlisten = 127.0.0.1:0\nunix_group = no-such-group\n"
				   "[backend.own]\nworker = /nonexistent/own --fast\n";
	char why[512] = "";

	cr_assert_eq(config_init(&config), 0);
	cr_assert_eq(config_load_memory(&config, "f.conf", text, strlen(text), why, sizeof(why)), 0,
		"%s", why);
	cr_assert_eq(config_set(&config, "handoff.unix_group=nor-this-one", why, sizeof(why)), 0,
		"%s", why);
	cr_assert_eq(config_finish(&config, why, sizeof(why)), 0, "%s", why);
	config.pool.worker_program = "/bin/true";
	config.metrics.listen = "";
	config.handoff.socket = "";
	expect(3, "modeld: f.conf:3: [server] unix_group: no-such-group: there is no such group\n");
	cr_expect(strstr(said, "--set handoff.unix_group: [handoff] unix_group: nor-this-one"),
		"%s", said);
	cr_expect(strstr(said, "f.conf:5: [backend.own] worker: /nonexistent/own: No such file"),
		"%s", said);
	config_release(&config);
}
