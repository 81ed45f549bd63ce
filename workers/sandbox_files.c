/*
 * sandbox_files.c: files by Landlock: what every program reads, what the options name, and nothing
 * else. As far as the kernel's version of it goes, abstract sockets, signals and TCP follow. That
 * it keeps this process from looking into others (ptrace and what is like it) comes with the rest.
 * Worker process, its one thread.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/virtual_environment.h"
#include "workers/sandbox_private.h"

/* Of versions of the interface later than that of the oldest headers that we are built with. */
#define ACCESS_TRUNCATE	 (UINT64_C(1) << 14) /* 3 */
#define ACCESS_IOCTL_DEV (UINT64_C(1) << 15) /* 5 */
#define ACCESS_TCP	 UINT64_C(3)	     /* 4: bind and connect */
#define SCOPES		 UINT64_C(3)	     /* 6: abstract sockets and signals */
#define VERSION_TCP	 4
#define VERSION_SCOPES	 6

#define READ                                                                                       \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define USE (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_IOCTL_DEV)
/* Those that a rule for a file can have. */
#define OF_A_FILE                                                                                  \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE |                               \
		LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE | ACCESS_IOCTL_DEV)

/* struct landlock_ruleset_attr as of version 6; earlier ones know less of it. */
struct ruleset_attributes {
	uint64_t files;
	uint64_t tcp;
	uint64_t scopes;
};

struct place {
	const char *path;
	uint64_t access;
};

/* Programs and libraries, and what the C library and those around it look up. /proc has nothing of other
 * processes for whom Landlock keeps from looking into them. Its own threads' names are to be
 * written, as the C library does, and CUDA's driver, which fails where it cannot. */
static const struct place usual_places[] = {
	{"/usr", READ},
	{"/lib", READ},
	{"/lib64", READ},
	{"/bin", READ},
	{"/opt", READ},
	{"/nix/store", READ},
	{"/etc/ld.so.cache", READ},
	{"/etc/ld.so.preload", READ},
	{"/etc/ld.so.conf", READ},
	{"/etc/ld.so.conf.d", READ},
	{"/etc/alternatives", READ},
	{"/etc/localtime", READ},
	{"/etc/timezone", READ},
	{"/etc/passwd", READ},
	{"/etc/group", READ},
	{"/etc/nsswitch.conf", READ},
	{"/etc/hosts", READ},
	{"/etc/resolv.conf", READ},
	{"/etc/ssl", READ},
	{"/etc/python3", READ},
	{"/etc/mime.types", READ},
	{"/etc/nvidia", READ},
	{"/etc/OpenCL", READ},
	{"/proc", READ},
	{"/proc/self/task", READ | LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE},
	{"/sys/devices/system", READ},
	{"/sys/fs/cgroup", READ},
	{"/sys/kernel/mm/transparent_hugepage", READ},
	{"/dev/null", USE},
	{"/dev/zero", USE},
	{"/dev/full", USE},
	{"/dev/random", USE},
	{"/dev/urandom", USE},
};

/* That the driver of a GPU needs. A node that is not there yet cannot be used: persistence mode, or
 * nvidia-modprobe ahead of the daemon, makes them. */
static const struct place gpu_places[] = {
	{"/dev/nvidiactl", USE},
	{"/dev/nvidia-uvm", USE},
	{"/dev/nvidia-uvm-tools", USE},
	{"/dev/nvidia-modeset", USE},
	{"/dev/nvidia-caps", USE | LANDLOCK_ACCESS_FS_READ_DIR},
	{"/dev/nvidia-caps-imex-channels", USE | LANDLOCK_ACCESS_FS_READ_DIR},
	{"/run/nvidia-persistenced", USE | LANDLOCK_ACCESS_FS_READ_DIR},
	{"/run/nvidia-fabricmanager", USE | LANDLOCK_ACCESS_FS_READ_DIR},
	{"/sys", READ},
};
#define GPUS_MAX 64u /* /dev/nvidia0 and so on */

/* Variables by which libraries are found: of each, lists with colons. */
static const char *const library_variables[] = {"LD_LIBRARY_PATH", "LD_PRELOAD", "VIRTUAL_ENV",
	"PYTHONPATH", "PYTHONHOME", "CUDA_HOME", "MODELD_ONNXRUNTIME"};

static const char *const temporary_places[] = {"/tmp", "/var/tmp", "/dev/shm"};

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

struct ruleset {
	int fd;
	uint64_t files; /* what it handles */
};

/* Everything that files can have done to them, as of `version`. */
static uint64_t handled_by(int version)
{
	uint64_t files = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;

	if (version >= 2)
		files |= LANDLOCK_ACCESS_FS_REFER;
	if (version >= 3)
		files |= ACCESS_TRUNCATE;
	if (version >= 5)
		files |= ACCESS_IOCTL_DEV;
	return files;
}

/* Allow it for what is at `path` and below. What is not there need not be allowed. */
static int allow(const struct ruleset *s, const char *path, uint64_t access)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = access & s->files};
	_cleanup_(close_fd) int fd = open(path, O_PATH | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return 0;
	if (!S_ISDIR(st.st_mode))
		rule.allowed_access &= OF_A_FILE;
	rule.parent_fd = fd;
	return syscall(SYS_landlock_add_rule, s->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) ? -errno
											   : 0;
}

static int allow_places(const struct ruleset *s, const struct place *places, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && !r; i++)
		r = allow(s, places[i].path, places[i].access);
	return r;
}
#define ALLOW_PLACES(s, places) allow_places(s, places, sizeof(places) / sizeof((places)[0]))

/* A repository: what it has, and what the links in it lead to; not those that a model's own directory has, which may
 * be a stranger's. */
static int allow_models(const struct ruleset *s, const char *path, uint64_t access)
{
	_cleanup_(closedirp) DIR *directory = opendir(path);
	struct dirent *entry;
	char link[PATH_MAX];
	int r = allow(s, path, access);

	while (!r && directory && (entry = readdir(directory))) {
		if (entry->d_type != DT_LNK && entry->d_type != DT_UNKNOWN)
			continue;
		if ((size_t)snprintf(link, sizeof(link), "%s/%s", path, entry->d_name) <
			sizeof(link))
			r = allow(s, link, access);
	}
	return r;
}

/* Each of a list. NULL is none. */
static int allow_list(const struct ruleset *s, const char *list, char separator, uint64_t access,
	int (*allow_one)(const struct ruleset *s, const char *path, uint64_t access))
{
	_cleanup_(freep) char *copy = list ? strdup(list) : NULL;
	char *rest = copy;
	char *path;
	int r = list && !copy ? -ENOMEM : 0;

	while (!r && rest) {
		path = rest;
		rest = strchr(path, separator);
		if (rest)
			*rest++ = '\0';
		if (*path)
			r = allow_one(s, path, access);
	}
	return r;
}

static int allow_libraries(const struct ruleset *s)
{
	size_t n = sizeof(library_variables) / sizeof(library_variables[0]);
	int r = 0;

	for (size_t i = 0; i < n && !r; i++)
		r = allow_list(s, getenv(library_variables[i]), ':', READ, allow);
	return r;
}

/* The libraries of the interpreter that a virtual environment was made of. */
static int allow_interpreters_libraries(const struct ruleset *s, const char *path)
{
	char libraries[PATH_MAX];

	return virtual_environment_libraries(path, libraries, sizeof(libraries))
		       ? allow(s, libraries, READ)
		       : 0;
}

/* Nothing but programs: a model's own words must not open what it likes. Of a virtual environment all of it. */
static int allow_program(const struct ruleset *s, const char *path)
{
	char prefix[PATH_MAX], mark[PATH_MAX + 16];
	const char *slash = strrchr(path, '/');
	struct stat st;
	int r;

	if (path[0] != '/' || stat(path, &st) || !S_ISREG(st.st_mode) || !(st.st_mode & S_IXUSR))
		return 0;
	r = allow(s, path, READ);
	if ((size_t)snprintf(prefix, sizeof(prefix), "%.*s/..", (int)(slash - path), path) >=
		sizeof(prefix))
		return r;
	snprintf(mark, sizeof(mark), "%s/pyvenv.cfg", prefix);
	if (r || access(mark, F_OK) != 0)
		return r;
	r = allow(s, prefix, READ);
	return r ? r : allow_interpreters_libraries(s, path);
}

/* The interpreter that a model names for the worker program of its backend. */
static int allow_interpreter(const struct ruleset *s)
{
	static const char key[] = "interpreter=";
	const char *line = getenv("MODELD_PARAMETERS");
	char path[PATH_MAX];

	for (; line && *line; line += *line != '\0') {
		size_t n = strcspn(line, "\n");

		if (!strncmp(line, key, sizeof(key) - 1) && n - (sizeof(key) - 1) < sizeof(path)) {
			snprintf(path, sizeof(path), "%.*s", (int)(n - (sizeof(key) - 1)),
				line + sizeof(key) - 1);
			return allow_program(s, path);
		}
		line += n;
	}
	return 0;
}

static int allow_gpus(const struct ruleset *s)
{
	char path[32];
	int r = ALLOW_PLACES(s, gpu_places);

	for (unsigned i = 0; i < GPUS_MAX && !r; i++) {
		snprintf(path, sizeof(path), "/dev/nvidia%u", i);
		r = allow(s, path, USE);
	}
	return r;
}

static int allow_temporary(const struct ruleset *s)
{
	const char *own = getenv("TMPDIR");
	int r = own && *own ? allow(s, own, s->files) : 0;

	for (size_t i = 0; i < sizeof(temporary_places) / sizeof(temporary_places[0]) && !r; i++)
		r = allow(s, temporary_places[i], s->files);
	return r;
}

static int allow_all(const struct ruleset *s, const struct sandbox_options *o)
{
	int r = ALLOW_PLACES(s, usual_places);

	if (!r)
		r = allow_libraries(s);
	if (!r && o->executes)
		r = allow_interpreter(s);
	if (!r && o->gpu)
		r = allow_gpus(s);
	if (!r && o->mode == SANDBOX_RELAXED)
		r = allow_temporary(s);
	if (!r)
		r = allow_list(s, o->models, '\n', READ, allow_models);
	if (!r)
		r = allow_list(s, o->read, '\n', READ, allow);
	return r ? r : allow_list(s, o->write, '\n', s->files, allow);
}

static struct ruleset_attributes attributes(const struct sandbox_options *o, int version)
{
	struct ruleset_attributes a = {.files = handled_by(version)};

	if (version >= VERSION_TCP && o->mode == SANDBOX_ON)
		a.tcp = ACCESS_TCP;
	if (version >= VERSION_SCOPES)
		a.scopes = SCOPES;
	return a;
}

static size_t attributes_size(int version)
{
	if (version >= VERSION_SCOPES)
		return sizeof(struct ruleset_attributes);
	return version >= VERSION_TCP ? offsetof(struct ruleset_attributes, scopes)
				      : offsetof(struct ruleset_attributes, tcp);
}

int sandbox_files_version(void)
{
	long version =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return version < 0 ? -errno : (int)version;
}

bool sandbox_files_keep_signals(int version)
{
	return version >= VERSION_SCOPES;
}

int sandbox_files_restrict(const struct sandbox_options *o, int version)
{
	struct ruleset_attributes a = attributes(o, version);
	_cleanup_(close_fd) int fd =
		(int)syscall(SYS_landlock_create_ruleset, &a, attributes_size(version), 0);
	struct ruleset s = {.fd = fd, .files = a.files};
	int r;

	if (fd < 0)
		return -errno;
	r = allow_all(&s, o);
	if (r)
		return r;
	return syscall(SYS_landlock_restrict_self, fd, 0) ? -errno : 0;
}
