/*
 * check.c: arguments, and what is found.
 *
 * Exit status: 0 also where there is no GPU (it says so), 1 where something that must be true is not.
 */
#include "tests/gpu/check/check.h"

#include <errno.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "workers/device.h"

extern char **environ;

static void put(struct check *c, const char *text)
{
	fputs(text, stdout);
	fflush(stdout);
	if (c->file) {
		fputs(text, c->file);
		fflush(c->file);
	}
}

void check_say(struct check *c, const char *format, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	put(c, text);
	put(c, "\n");
}

void check_heading(struct check *c, const char *title)
{
	check_say(c, "\n### %s\n", title);
}

bool check_true(struct check *c, bool truth, const char *format, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	c->n_passed += truth;
	c->n_failed += !truth;
	check_say(c, "* %s: %s", truth ? "yes" : "NO", text);
	return truth;
}

static double quotient(const struct ratio *r)
{
	return r->base > 0 ? r->value / r->base : 0;
}

static const char *verdict(const struct ratio *r)
{
	if (r->value <= 0 || r->base <= 0)
		return "FAILED";
	if (r->wanted <= 0)
		return "";
	if (r->less ? quotient(r) <= r->wanted : quotient(r) >= r->wanted)
		return "reached";
	return "MISSED";
}

static void say_ratio(struct check *c, const struct ratio *r)
{
	char wanted[32] = "";

	if (r->wanted > 0)
		snprintf(wanted, sizeof(wanted), "%s %.2f", r->less ? "at most" : "at least",
			r->wanted);
	check_say(c, "| %s | %.4g %s | %s: %.4g | %.2f | %s | %s |", r->what, r->value, r->unit,
		r->beside, r->base, quotient(r), wanted, verdict(r));
}

void check_ratio(struct check *c, const struct ratio *r)
{
	if (c->n_ratios < RATIOS_MAX)
		c->ratios[c->n_ratios++] = *r;
	say_ratio(c, r);
}

static void say_all(struct check *c)
{
	check_heading(c, "All ratios");
	check_say(c, "| what | value | beside | ratio | wanted | |\n|---|---|---|---|---|---|");
	for (size_t i = 0; i < c->n_ratios; i++)
		say_ratio(c, &c->ratios[i]);
	check_say(c, "\n%u statements are true, %u are not", c->n_passed, c->n_failed);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double check_median(struct check *c, size_t n)
{
	if (n == 0)
		return 0;
	qsort(c->samples, n, sizeof(double), compare);
	return c->samples[n / 2];
}

double check_latency_us(struct check *c, bool (*run)(void *data), void *data)
{
	uint64_t end_ns = clock_ns() + c->measure_ns;
	size_t n = 0;

	while (n < 20 || (n < SAMPLES_MAX && clock_ns() < end_ns)) {
		uint64_t start_ns = clock_ns();

		if (!run(data))
			return 0;
		c->samples[n++] = (double)(clock_ns() - start_ns) / 1e3;
	}
	return check_median(c, n);
}

void check_fill(void *data, size_t n, uint32_t seed)
{
	unsigned char *p = data;
	uint32_t x = seed * 2654435761u + 1;

	for (size_t i = 0; i < n; i++) {
		x = x * 1664525u + 1013904223u;
		p[i] = (unsigned char)(x >> 24);
	}
}

int check_segment(size_t bytes, void **ret_written, void **ret_read)
{
	_cleanup_(close_fd) int fd = memfd_create("segment", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)bytes))
		return -1;
	*ret_written = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	*ret_read = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
	return *ret_written == MAP_FAILED || *ret_read == MAP_FAILED ? -1 : 0;
}

int check_child(const struct check *c, const char *name, const char *variable)
{
	char *const argv[] = {(char *)"check", (char *)"--child", (char *)name, NULL};
	char *env[512];
	size_t n = 0;
	int status;
	pid_t pid;

	for (char **e = environ; *e && n < 510; e++) {
		if (!variable || strncmp(*e, variable, strcspn(variable, "=") + 1) != 0)
			env[n++] = *e;
	}
	if (variable)
		env[n++] = (char *)variable;
	env[n] = NULL;
	if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, env) ||
		waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* In a child: this process is to have no context yet. */
static int say_device(void)
{
	_cleanup_(device_freep) struct device *d = NULL;
	char text[DEVICE_TEXT_MAX];
	struct device_memory memory;
	int r = device_open(&d, "cuda:0", text);

	if (r) {
		printf("No GPU: %s\n", text);
		return 1;
	}
	if (device_memory(d, &memory))
		return 1;
	printf("%s, %s, %s, %.1f of %.1f GiB free, read-only memory: %s\n", d->info.name,
		d->info.uuid, d->info.bus, (double)memory.free_bytes / (double)(1024 * MIB),
		(double)memory.total_bytes / (double)(1024 * MIB),
		d->info.reads_read_only ? "can be registered" : "is staged");
	return 0;
}

/* What is to be done. */
enum part { ALL, AGREE, OVERLAP, TORCH };

static const char *const part_options[] = {"", "--agree", "--overlap", "--torch"};

static void run_part(struct check *c, enum part part, const char *torch)
{
	/* First, as long as this process has no context on the GPU. */
	if (part == ALL) {
		check_footprint(c);
		check_serve(c);
	}
	if (part == ALL || part == TORCH)
		check_torch(c, torch);
	if (part == ALL || part == AGREE)
		check_agree(c);
	if (part == ALL)
		check_copies(c);
	if (part == ALL || part == OVERLAP)
		check_overlap(c);
}

static int run(
	struct check *c, enum part part, const char *shared, const char *handed, const char *torch)
{
	uint64_t start_ns = clock_ns();

	if (check_child(c, "device", NULL) != 0)
		return 0;
	if (shared)
		check_shared(c, shared);
	else if (handed)
		check_handed(c, handed);
	else
		run_part(c, part, torch);
	say_all(c);
	check_say(c, "%.0f s", (double)(clock_ns() - start_ns) / 1e9);
	return c->n_failed > 0;
}

static int run_child(const char *name)
{
	if (!strcmp(name, "device"))
		return say_device();
	if (!strcmp(name, "hander"))
		return handed_child();
	return strcmp(name, "owner") ? agree_child(name) : shared_child();
}

/* --name=value */
static bool option(const char *argument, const char *name, const char **ret_value)
{
	size_t n = strlen(name);

	if (strncmp(argument, name, n) != 0 || argument[n] != '=')
		return false;
	*ret_value = argument + n + 1;
	return true;
}

/* False: it is none. */
static bool find_part(const char *argument, enum part *ret_part)
{
	for (enum part p = AGREE; p <= TORCH; p++) {
		if (!strcmp(argument, part_options[p])) {
			*ret_part = p;
			return true;
		}
	}
	return false;
}

int main(int argc, char **argv)
{
	struct check *c;
	const char *file = NULL, *ms = "400", *shared = NULL, *handed = NULL, *torch = NULL;
	enum part part = ALL;
	int r;

	if (argc == 3 && !strcmp(argv[1], "--child"))
		return run_child(argv[2]);
	c = calloc(1, sizeof(*c));
	if (!c)
		return 1;
	for (int i = 1; i < argc; i++) {
		if (option(argv[i], "--programs", &c->programs) ||
			option(argv[i], "--models", &c->models) ||
			option(argv[i], "--config", &c->config) ||
			option(argv[i], "--worker", &c->worker) ||
			option(argv[i], "--backends", &c->backends) ||
			option(argv[i], "--file", &file) || option(argv[i], "--ms", &ms) ||
			option(argv[i], "--shared", &shared) ||
			option(argv[i], "--handed", &handed) || option(argv[i], "--torch", &torch))
			continue;
		if (!find_part(argv[i], &part)) {
			fprintf(stderr, "check: unknown argument '%s'\n", argv[i]);
			free(c);
			return 2;
		}
	}
	c->measure_ns = strtoul(ms, NULL, 10) * NS_PER_MS;
	c->file = file ? fopen(file, "we") : NULL;
	r = run(c, part, shared, handed, torch);
	if (c->file)
		fclose(c->file);
	free(c);
	return r;
}
