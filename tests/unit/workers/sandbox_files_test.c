/* sandbox_files_test.c: what can be opened, and who can be reached, from inside. */
#include "workers/sandbox_files.c"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "fake_inmate.h"
#include "tests/support/failalloc.h"

/* A directory with open/file, closed/file, and a list of what may be written. */
struct place_for_tests {
	char root[64];
	char open[96];
	char closed[96];
	char list[128];
};

struct attempt {
	struct sandbox_options options;
	const char *path;
	int flags;
	pid_t pid;
	struct sockaddr_un name;
	socklen_t n;
};

static int enter(void *arg)
{
	const struct attempt *a = arg;

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       sandbox_files_restrict(&a->options, sandbox_files_version());
}

static int version_or_skip(int least)
{
	int version = sandbox_files_version();

	if (version < least)
		cr_skip_test("this kernel's Landlock is too old, or off");
	return version;
}

static void write_file(const char *directory, char *path)
{
	int fd;

	cr_assert_eq(mkdir(directory, 0700), 0);
	snprintf(path, 96, "%s/file", directory);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	cr_assert_geq(fd, 0);
	close(fd);
}

static void prepare(struct place_for_tests *t)
{
	char directory[80];

	snprintf(t->root, sizeof(t->root), "build/sandbox-XXXXXX");
	cr_assert(mkdtemp(t->root));
	snprintf(directory, sizeof(directory), "%s/closed", t->root);
	write_file(directory, t->closed);
	snprintf(directory, sizeof(directory), "%s/open", t->root);
	write_file(directory, t->open);
	snprintf(t->list, sizeof(t->list), "/no/such/place\n\n%s\n", directory);
}

static void tidy(struct place_for_tests *t)
{
	unlink(t->open);
	unlink(t->closed);
	*strrchr(t->open, '/') = '\0';
	*strrchr(t->closed, '/') = '\0';
	cr_assert_eq(rmdir(t->open), 0);
	cr_assert_eq(rmdir(t->closed), 0);
	cr_assert_eq(rmdir(t->root), 0);
}

static int try_open(void *arg)
{
	const struct attempt *a = arg;

	return open(a->path, a->flags | O_CLOEXEC, 0600) < 0 ? errno : 0;
}

static int open_as(const struct sandbox_options *o, const char *path, int flags)
{
	struct attempt a = {.options = *o, .path = path, .flags = flags};

	return fake_inmate(enter, try_open, &a);
}

Test(sandbox_files, what_is_listed_is_open_and_nothing_else)
{
	struct place_for_tests t;
	struct sandbox_options none = {.mode = SANDBOX_ON};
	struct sandbox_options reads, writes;

	version_or_skip(1);
	prepare(&t);
	reads = (struct sandbox_options){.mode = SANDBOX_ON, .read = t.list};
	writes = (struct sandbox_options){.mode = SANDBOX_ON, .write = t.list};
	cr_assert_eq(open_as(&none, t.open, O_RDONLY), EACCES);
	cr_assert_eq(open_as(&reads, t.open, O_RDONLY), 0);
	cr_assert_eq(open_as(&reads, t.open, O_WRONLY), EACCES);
	cr_assert_eq(open_as(&reads, t.closed, O_RDONLY), EACCES);
	cr_assert_eq(open_as(&writes, t.open, O_RDWR), 0);
	cr_assert_eq(open_as(&writes, t.closed, O_RDONLY), EACCES);
	tidy(&t);
}

Test(sandbox_files, links_among_models_lead_somewhere)
{
	struct place_for_tests t;
	struct sandbox_options o = {.mode = SANDBOX_ON};
	char link[96], path[128];

	version_or_skip(1);
	prepare(&t);
	snprintf(link, sizeof(link), "%s/open/link", t.root);
	snprintf(path, sizeof(path), "%s/file", link);
	cr_assert_eq(symlink("../closed", link), 0);
	o.read = t.list;
	cr_assert_eq(open_as(&o, path, O_RDONLY), EACCES);
	o.read = NULL;
	o.models = t.list;
	cr_assert_eq(open_as(&o, path, O_RDONLY), 0);
	cr_assert_eq(open_as(&o, path, O_WRONLY), EACCES);
	unlink(link);
	tidy(&t);
}

/* What a model has in its own directory may be a stranger's. */
Test(sandbox_files, links_of_a_model_lead_nowhere)
{
	struct place_for_tests t;
	struct sandbox_options o = {.mode = SANDBOX_ON};
	char model[96], link[128], path[160];

	version_or_skip(1);
	prepare(&t);
	o.models = t.list;
	snprintf(model, sizeof(model), "%s/open/model", t.root);
	snprintf(link, sizeof(link), "%s/link", model);
	snprintf(path, sizeof(path), "%s/file", link);
	cr_assert_eq(mkdir(model, 0700), 0);
	cr_assert_eq(symlink("../../closed", link), 0);
	cr_expect_eq(open_as(&o, path, O_RDONLY), EACCES);
	cr_expect_eq(open_as(&o, model, O_RDONLY | O_DIRECTORY), 0);
	unlink(link);
	rmdir(model);
	tidy(&t);
}

Test(sandbox_files, a_hard_link_is_the_directory_s_that_it_lies_in)
{
	struct place_for_tests t;
	struct sandbox_options o = {.mode = SANDBOX_ON};
	char path[96];

	version_or_skip(1);
	prepare(&t);
	o.models = t.list;
	snprintf(path, sizeof(path), "%s/open/hard", t.root);
	cr_assert_eq(link(t.closed, path), 0);
	cr_expect_eq(open_as(&o, path, O_RDONLY), 0);
	cr_expect_eq(open_as(&o, t.closed, O_RDONLY), EACCES);
	unlink(path);
	tidy(&t);
}

Test(sandbox_files, a_program_that_a_model_names_is_no_way_to_other_files)
{
	struct place_for_tests t;
	struct sandbox_options o = {.mode = SANDBOX_ON, .executes = true};
	char here[PATH_MAX], path[PATH_MAX + 128], parameters[PATH_MAX + 256];

	version_or_skip(1);
	prepare(&t);
	cr_assert(getcwd(here, sizeof(here)));
	snprintf(path, sizeof(path), "%s/%s", here, t.closed);
	snprintf(parameters, sizeof(parameters), "a=b\ninterpreter=%s\nc=d\n", path);
	setenv("MODELD_PARAMETERS", parameters, 1);
	cr_assert_eq(open_as(&o, path, O_RDONLY), EACCES, "it is no program");
	cr_assert_eq(chmod(path, 0700), 0);
	cr_assert_eq(open_as(&o, path, O_RDONLY), 0);
	cr_assert_eq(open_as(&o, t.open, O_RDONLY), EACCES);
	o.executes = false;
	cr_assert_eq(open_as(&o, path, O_RDONLY), EACCES);
	tidy(&t);
}

/* A virtual environment in e, of an interpreter in p. In the order in which they are made. */
static const char *const environment_directories[] = {"e", "e/bin", "p", "p/bin", "p/lib"};
static const char *const environment_files[] = {
	"e/bin/python", "p/bin/python3", "p/lib/library", "p/secret", "e/pyvenv.cfg"};
#define N_DIRECTORIES (sizeof(environment_directories) / sizeof(environment_directories[0]))
#define N_FILES	      (sizeof(environment_files) / sizeof(environment_files[0]))

static void make_environment(const char *root)
{
	char path[PATH_MAX];
	FILE *f;

	for (size_t i = 0; i < N_DIRECTORIES; i++) {
		snprintf(path, sizeof(path), "%s/%s", root, environment_directories[i]);
		cr_assert_eq(mkdir(path, 0700), 0);
	}
	for (size_t i = 0; i < N_FILES; i++) {
		snprintf(path, sizeof(path), "%s/%s", root, environment_files[i]);
		f = fopen(path, "w");
		cr_assert(f && fprintf(f, "home = %s/p/bin\n", root) > 0 && !fclose(f));
		cr_assert_eq(chmod(path, 0700), 0);
	}
}

static void remove_environment(const char *root)
{
	char path[PATH_MAX];

	for (size_t i = N_FILES; i-- > 0;) {
		snprintf(path, sizeof(path), "%s/%s", root, environment_files[i]);
		unlink(path);
	}
	for (size_t i = N_DIRECTORIES; i-- > 0;) {
		snprintf(path, sizeof(path), "%s/%s", root, environment_directories[i]);
		cr_assert_eq(rmdir(path), 0);
	}
}

Test(sandbox_files, the_interpreter_of_a_virtual_environment_has_its_libraries)
{
	struct place_for_tests t;
	struct sandbox_options o = {.mode = SANDBOX_ON, .executes = true};
	char here[PATH_MAX], root[PATH_MAX + 96], text[PATH_MAX + 192];

	version_or_skip(1);
	prepare(&t);
	cr_assert(getcwd(here, sizeof(here)));
	snprintf(root, sizeof(root), "%s/%s", here, t.root);
	make_environment(root);
	snprintf(text, sizeof(text), "interpreter=%s/e/bin/python\n", root);
	setenv("MODELD_PARAMETERS", text, 1);
	snprintf(text, sizeof(text), "%s/p/lib/library", root);
	cr_expect_eq(open_as(&o, text, O_RDONLY), 0);
	cr_expect_eq(open_as(&o, text, O_WRONLY), EACCES);
	snprintf(text, sizeof(text), "%s/e/pyvenv.cfg", root);
	cr_expect_eq(open_as(&o, text, O_RDONLY), 0);
	snprintf(text, sizeof(text), "%s/p/secret", root);
	cr_expect_eq(open_as(&o, text, O_RDONLY), EACCES);
	remove_environment(root);
	tidy(&t);
}

/* As the driver of a GPU does. */
static int try_own_name(void *arg)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%d/comm", (int)getpid());
	return open(path, O_WRONLY | O_TRUNC | O_CLOEXEC) < 0 ? errno : 0;
}

Test(sandbox_files, what_every_program_needs_is_there)
{
	struct sandbox_options o = {.mode = SANDBOX_ON};

	version_or_skip(1);
	cr_assert_eq(open_as(&o, "/usr/lib", O_RDONLY | O_DIRECTORY), 0);
	cr_assert_eq(open_as(&o, "/dev/null", O_RDWR), 0);
	cr_assert_eq(open_as(&o, "/dev/urandom", O_RDONLY), 0);
	cr_assert_eq(open_as(&o, "/proc/self/maps", O_RDONLY), 0);
	cr_assert_eq(open_as(&o, "/etc/ld.so.cache", O_RDONLY), 0);
	cr_assert_eq(fake_inmate(enter, try_own_name, &(struct attempt){.options = o}), 0);
	cr_assert_eq(open_as(&o, "/etc/shadow", O_RDONLY), EACCES);
	cr_assert_eq(open_as(&o, "/usr/lib/x", O_WRONLY | O_CREAT), EACCES);
	cr_assert_eq(open_as(&o, "/proc/sys/kernel/core_pattern", O_WRONLY), EACCES);
	cr_assert_eq(open_as(&o, "/dev/shm", O_RDONLY | O_DIRECTORY), EACCES);
}

/* And, where there is a GPU, its nodes. */
Test(sandbox_files, who_has_a_gpu_reads_what_its_driver_reads)
{
	struct sandbox_options none = {.mode = SANDBOX_ON};
	struct sandbox_options gpu = {.mode = SANDBOX_ON, .gpu = true};
	bool has_nodes = !access("/dev/nvidiactl", F_OK);

	version_or_skip(1);
	if (access("/sys/class", F_OK) != 0)
		cr_skip_test("there is no /sys");
	cr_assert_eq(open_as(&none, "/sys/class", O_RDONLY | O_DIRECTORY), EACCES);
	cr_assert_eq(open_as(&gpu, "/sys/class", O_RDONLY | O_DIRECTORY), 0);
	if (has_nodes)
		cr_assert_eq(open_as(&none, "/dev/nvidiactl", O_RDWR), EACCES);
	if (has_nodes)
		cr_assert_eq(open_as(&gpu, "/dev/nvidiactl", O_RDWR), 0);
}

Test(sandbox_files, relaxed_has_temporary_files)
{
	struct sandbox_options o = {.mode = SANDBOX_RELAXED};

	version_or_skip(1);
	cr_assert_eq(open_as(&o, "/dev/shm", O_RDONLY | O_DIRECTORY), 0);
	cr_assert_eq(open_as(&o, "/tmp", O_RDWR | O_TMPFILE), 0);
	cr_assert_eq(open_as(&o, "/etc/shadow", O_RDONLY), EACCES);
}

/* Its memory by any name, and its descriptors. */
static int try_look(void *arg)
{
	struct attempt *a = arg;
	char byte, path[64];
	struct iovec to = {&byte, 1}, from = {a, 1};

	if (process_vm_readv(a->pid, &to, 1, &from, 1, 0) >= 0 || errno != EPERM)
		return 1;
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)a->pid);
	if (open(path, O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES)
		return 2;
	snprintf(path, sizeof(path), "/proc/%d/fd/0", (int)a->pid);
	return open(path, O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES ? 3 : 0;
}

/* Root could look by right, unless it gave that up, too (sandbox.c). */
Test(sandbox_files, nobody_looks_into_others)
{
	struct attempt a = {.options.mode = SANDBOX_RELAXED};

	version_or_skip(1);
	a.pid = fake_bystander();
	cr_assert_eq(fake_inmate(enter, try_look, &a), 0);
	fake_bystander_end(a.pid);
}

static int try_kill(void *arg)
{
	return kill(((struct attempt *)arg)->pid, SIGKILL) ? errno : 0;
}

Test(sandbox_files, signals_are_kept)
{
	struct attempt a = {.options.mode = SANDBOX_RELAXED};
	int version = version_or_skip(VERSION_SCOPES);

	cr_assert(sandbox_files_keep_signals(version));
	cr_assert_not(sandbox_files_keep_signals(VERSION_SCOPES - 1));
	cr_assert_not(sandbox_files_keep_signals(-ENOSYS));
	a.pid = fake_bystander();
	cr_assert_eq(fake_inmate(enter, try_kill, &a), EPERM);
	fake_bystander_end(a.pid);
}

static int try_connect(void *arg)
{
	struct attempt *a = arg;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return connect(fd, (struct sockaddr *)&a->name, a->n) ? errno : 0;
}

Test(sandbox_files, abstract_sockets_of_others_are_not_there)
{
	struct attempt a = {.options.mode = SANDBOX_RELAXED, .name.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	version_or_skip(VERSION_SCOPES);
	a.n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			  (size_t)snprintf(a.name.sun_path + 1, 64, "modeld-test-%d", getpid()));
	cr_assert_eq(bind(fd, (struct sockaddr *)&a.name, a.n), 0);
	cr_assert_eq(listen(fd, 1), 0);
	cr_assert_eq(try_connect(&a), 0, "it is there for others");
	cr_assert_eq(fake_inmate(enter, try_connect, &a), EPERM);
	close(fd);
}

static int try_tcp(void *arg)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(1)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return connect(fd, (struct sockaddr *)&to, sizeof(to)) ? errno : 0;
}

Test(sandbox_files, tcp_is_for_the_relaxed)
{
	struct attempt a = {.options.mode = SANDBOX_ON};

	version_or_skip(VERSION_TCP);
	cr_assert_eq(fake_inmate(enter, try_tcp, &a), EACCES);
	a.options.mode = SANDBOX_RELAXED;
	cr_assert_eq(fake_inmate(enter, try_tcp, &a), ECONNREFUSED);
}

Test(sandbox_files, older_kernels_get_what_they_know)
{
	struct sandbox_options o = {.mode = SANDBOX_ON, .gpu = true};

	cr_assert_eq(attributes_size(1), 8);
	cr_assert_eq(attributes_size(3), 8);
	cr_assert_eq(attributes_size(4), 16);
	cr_assert_eq(attributes_size(6), 24);
	cr_assert_eq(attributes(&o, 3).tcp, 0);
	cr_assert_eq(attributes(&o, 5).scopes, 0);
	cr_assert_eq(attributes(&o, 1).files, (1u << 13) - 1);
	cr_assert_eq(attributes(&o, 2).files, (1u << 14) - 1);
	cr_assert_eq(attributes(&o, 3).files, (1u << 15) - 1);
	cr_assert_eq(attributes(&o, 5).files, (1u << 16) - 1);
}

static int restrict_with_lists(void *arg)
{
	struct sandbox_options o = {
		.mode = SANDBOX_RELAXED, .gpu = true, .read = "/usr\n/lib", .write = "/tmp"};

	return sandbox_files_restrict(&o, sandbox_files_version());
}

static int prepare_to_fail(void *arg)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || setenv("LD_LIBRARY_PATH", "/usr:/lib", 1);
}

static int fail_everywhere(void *arg)
{
	return failalloc_loop(restrict_with_lists, NULL, FAIL_ALLOCATIONS) ? 1 : 0;
}

Test(sandbox_files, fault_loop)
{
	version_or_skip(1);
	cr_assert_eq(fake_inmate(prepare_to_fail, fail_everywhere, NULL), 0);
}
