/* memory_test.c: memory that batches name: mapped once a process, unmapped when asked, or by its end. */
#include "pool/memory.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "fake_bed.h"
#include "fake_crowd.h"

#define ID    (WIRE_REGION_BIT | 5)
#define BYTES 8192

struct memory {
	int fd;
	uint8_t *data;
};

static void memory_init(struct memory *m)
{
	m->fd = memfd_create("client", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	cr_assert_eq(ftruncate(m->fd, BYTES), 0);
	m->data = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
	cr_assert_neq(m->data, MAP_FAILED);
	cr_assert_eq(fcntl(m->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
	for (size_t i = 0; i < BYTES; i++)
		m->data[i] = (uint8_t)(i * 3);
}

static void memory_deinit(struct memory *m)
{
	munmap(m->data, BYTES);
	close(m->fd);
}

static void on_gone(void *data)
{
	struct bed *b = data;

	cr_assert(!b->inside);
	b->n_gone++;
	uv_stop(&b->loop);
}

/* The first 1000 bytes of the region in; out to the output arena, or to 1000 from 4096 on. */
static int run_at(struct bed *b, bool target, uint64_t now_ns)
{
	static const int64_t dims[] = {1000};
	static const uint32_t wanted = 0;
	struct wire_target to = {.output = 0,
		.span = {.arena = ID, .generation = 1, .offset = 4096, .length = 1500}};
	struct wire_tensor in = {.dtype = DTYPE_U8,
		.rank = 1,
		.dims = dims,
		.span = {.arena = ID, .generation = 1, .offset = 0, .length = 1000}};
	struct wire_item item = {.inputs = &in,
		.n_inputs = 1,
		.outputs = &wanted,
		.n_outputs = 1,
		.targets = &to,
		.n_targets = target};

	return worker_run(bed_worker(b, 0),
		&(struct pool_batch){
			.model = b->pm[0], .items = &item, .n_items = 1, .now_ns = now_ns});
}

static int run(struct bed *b, bool target)
{
	return run_at(b, target, clock_ns());
}

/* A pool whose workers run `script` and one model, and a region. */
static struct pool_memory *up(
	struct bed *b, struct memory *m, const char *script, const char *model, bool writable)
{
	struct pool_memory *r;

	bed_init(b, script, model);
	memory_init(m);
	bed_up(b);
	cr_assert_eq(pool_memory_new(&r, b->pool, ID, m->fd, BYTES, writable, on_gone, b), 0);
	return r;
}

static void free_region(struct bed *b, struct pool_memory *r)
{
	b->inside = true;
	pool_memory_free(r);
	b->inside = false;
	cr_assert_eq(b->n_gone, 0);
}

Test(region, is_mapped_once_and_unmapped)
{
	struct memory m;
	struct bed b;
	struct pool_memory *r = up(&b, &m, "good", "echo", true);

	b.keep_leases = true;
	cr_assert_eq(run(&b, false), 0);
	/* The worker ends itself when it is told to map it twice. */
	cr_assert_eq(run(&b, true), 0);
	bed_wait(&b, b.n_events == 2);
	cr_assert_eq(b.events[0].what, 'd');
	cr_assert_eq(memcmp(b.events[0].data, m.data, 1000), 0);
	cr_assert_eq(b.events[1].what, 'd');
	cr_assert_null(b.events[1].data);
	cr_assert_eq(b.events[1].length, 1000);
	cr_assert_eq(memcmp(m.data + 4096, m.data, 1000), 0);
	free_region(&b, r);
	bed_wait(&b, b.n_gone == 1);
	cr_assert_eq(worker_get_state(bed_worker(&b, 0)), WORKER_READY);
	bed_drain_end(&b);
	memory_deinit(&m);
}

Test(region, that_nobody_maps_goes_at_once_but_later)
{
	struct memory m;
	struct bed b;
	struct pool_memory *r = up(&b, &m, "good", "echo", false);

	free_region(&b, r);
	bed_wait(&b, b.n_gone == 1);
	bed_drain_end(&b);
	memory_deinit(&m);
}

Test(region, waits_for_the_process_to_be_reaped)
{
	struct memory m;
	struct bed b;
	struct pool_memory *r = up(&b, &m, "no-unmapped,good", "echo", true);
	struct worker *w = bed_worker(&b, 0);

	cr_assert_eq(run(&b, false), 0);
	bed_wait(&b, b.n_events == 1);
	free_region(&b, r);
	/* A batch comes and goes, and still it may be mapped. */
	cr_assert_eq(bed_run(&b, 0, 0, 1, 10), 0);
	bed_wait(&b, b.n_events == 2);
	cr_assert_eq(b.n_gone, 0);
	kill(worker_pid(w), SIGKILL);
	bed_wait(&b, b.n_gone == 1);
	cr_assert_neq(worker_get_state(w), WORKER_LOST);
	bed_drain_end(&b);
	memory_deinit(&m);
}

/* --- Too many descriptors on the way --------------------------------------------------------- */

Test(region, that_cannot_be_handed_over_costs_its_batch_alone)
{
	struct memory m;
	struct bed b;
	struct pool_memory *r = up(&b, &m, "good", "echo", true);
	int pair[2];

	cr_assert_eq(bed_run(&b, 0, 0, 1, 10), 0);
	bed_wait(&b, b.n_events == 1);
	fake_crowd(pair);
	cr_expect_eq(run(&b, false), WORKER_E_REFS);
	/* What needs no descriptor goes on, at the same worker. */
	cr_expect_eq(bed_run(&b, 0, 0, 2, 10), 0);
	bed_wait(&b, b.n_events == 2);
	cr_expect_eq(b.events[1].what, 'd');
	cr_expect_eq(b.events[1].tag, 2);
	close(pair[0]);
	close(pair[1]);
	/* The kernel may collect what was on the way a moment later. */
	while (run(&b, false) == WORKER_E_REFS)
		sched_yield();
	bed_wait(&b, b.n_events == 3);
	cr_expect_eq(b.events[2].what, 'd');
	cr_expect_eq(memcmp(b.events[2].data, m.data, 1000), 0);
	free_region(&b, r);
	bed_wait(&b, b.n_gone == 1);
	bed_drain_end(&b);
	memory_deinit(&m);
}

/* A process that was killed may still be writing to a target. */
Test(region, batches_with_targets_come_back_when_it_is_reaped)
{
	struct memory m;
	struct bed b;
	struct pool_memory *r = up(&b, &m, "good", "hang", true);

	cr_assert_eq(run(&b, true), 0);
	cr_assert_eq(bed_run(&b, 0, 0, 1, 10), 0);
	pool_kill(b.pool);
	bed_wait(&b, b.n_events == 2);
	cr_expect_eq(b.events[0].what, 's');
	cr_expect_eq(b.events[0].tag, 1, "the one without a target, though it was sent later");
	cr_expect_eq(b.events[1].what, 's');
	cr_expect_eq(b.events[1].tag, 0);
	cr_expect_eq(worker_get_state(bed_worker(&b, 0)), WORKER_REAPED);
	free_region(&b, r);
	bed_wait(&b, b.n_gone == 1);
	bed_end(&b);
	memory_deinit(&m);
}

Test(region, is_mapped_anew_by_the_next_process)
{
	struct memory m;
	struct bed b;
	struct pool_memory *r = up(&b, &m, "good", "echo", true);
	struct worker *w = bed_worker(&b, 0);

	cr_assert_eq(run(&b, false), 0);
	bed_wait(&b, b.n_events == 1);
	kill(worker_pid(w), SIGKILL);
	bed_wait(&b, worker_restarts(w) == 1 && worker_get_state(w) == WORKER_READY);
	cr_assert_eq(run(&b, false), 0);
	bed_wait(&b, b.n_events == 2);
	cr_assert_eq(b.events[1].what, 'd');
	free_region(&b, r);
	/* The end of all is an answer, too. */
	bed_end(&b);
	cr_assert_eq(b.n_gone, 1);
	memory_deinit(&m);
}

Test(region, output_must_be_at_its_target)
{
	struct memory m;
	struct bed b;
	struct pool_memory *r = up(&b, &m, "good", "w-target", true);

	cr_assert_eq(run(&b, true), 0);
	bed_wait(&b, b.n_events == 1);
	cr_assert_eq(b.events[0].what, 's');
	bed_wait(&b, worker_get_state(bed_worker(&b, 0)) == WORKER_READY);
	cr_assert(strstr(worker_last_exit(bed_worker(&b, 0)), "not at its target"));
	pool_memory_free(r);
	bed_wait(&b, b.n_gone == 1);
	bed_end(&b);
	memory_deinit(&m);
}

/* --- On a GPU ------------------------------------------------------------------------------- */

static const uint64_t handle[WIRE_HANDLE_WORDS] = {1, 2, 3, 4, 5, 6, 7, 8};
static unsigned n_tried;
static int tried_end;
static char tried[128];

static void on_tried(void *data, int e, const char *why)
{
	struct bed *b = data;

	cr_assert(!b->inside);
	n_tried++;
	tried_end = e;
	snprintf(tried, sizeof(tried), "%s", e ? why : "fine");
	uv_stop(&b->loop);
}

static struct pool_memory *up_on_gpu_with(struct bed *b, const char *script, const char *model)
{
	struct pool_memory *r;

	bed_init(b, script, model);
	bed_up(b);
	cr_assert_eq(pool_memory_import(&r, b->pool, ID,
			     &(struct pool_import){handle, -1, BYTES, true}, on_gone, b),
		0);
	n_tried = 0;
	return r;
}

static struct pool_memory *up_on_gpu(struct bed *b, const char *script)
{
	return up_on_gpu_with(b, script, "echo");
}

static void try(struct bed *b, struct pool_memory *r)
{
	b->inside = true;
	cr_assert_eq(pool_memory_try(r, "cpu:0", on_tried), 0);
	b->inside = false;
}

static void gone(struct bed *b, struct pool_memory *r)
{
	free_region(b, r);
	bed_wait(b, b->n_gone == 1);
	bed_drain_end(b);
}

Test(region, on_a_gpu_is_tried_and_unmapped)
{
	struct bed b;
	struct pool_memory *r = up_on_gpu(&b, "imports");

	try(&b, r);
	bed_wait(&b, n_tried == 1);
	cr_assert_str_eq(tried, "fine");
	cr_assert_eq(pool_memory_try(r, "cpu:0", on_tried), -ENODEV, "it has it already");
	gone(&b, r);
	cr_assert_eq(n_tried, 1);
}

Test(region, on_a_gpu_by_a_descriptor)
{
	struct pool_memory *r;
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct bed b;

	bed_init(&b, "imports", "echo");
	bed_up(&b);
	cr_assert_eq(pool_memory_import(&r, b.pool, ID,
			     &(struct pool_import){NULL, fd, BYTES, false}, on_gone, &b),
		0);
	n_tried = 0;
	try(&b, r);
	bed_wait(&b, n_tried == 1);
	cr_assert_str_eq(tried, "fine");
	gone(&b, r);
	cr_assert_eq(close(fd), 0, "it is the caller's");
}

Test(region, on_a_gpu_that_cannot_be_had)
{
	struct bed b;
	struct pool_memory *r = up_on_gpu(&b, "import-refused");

	try(&b, r);
	bed_wait(&b, n_tried == 1);
	cr_assert_str_eq(tried, "no such ? memory");
	cr_expect_eq(tried_end, -EINVAL);
	cr_assert_eq(worker_get_state(bed_worker(&b, 0)), WORKER_READY);
	gone(&b, r);
}

/* How often it was imported, when a batch that names it has come. */
static uint32_t imports_at(struct bed *b, uint64_t now_ns)
{
	size_t n = b->n_events;

	cr_assert_eq(run_at(b, false, now_ns), 0);
	bed_wait(b, b->n_events == n + 1);
	cr_assert_eq(b->events[n].what, 'd');
	return b->events[n].code;
}

#define HOUR_NS (3600 * NS_PER_S)

Test(region, on_a_gpu_that_could_not_be_had_is_tried_again_later)
{
	struct bed b;
	struct pool_memory *r = up_on_gpu_with(&b, "import-refused-once", "imports");
	uint64_t before_ns = clock_ns();

	cr_expect_eq(imports_at(&b, before_ns), 1);
	cr_expect_eq(imports_at(&b, before_ns), 1, "not with each batch");
	cr_expect_eq(imports_at(&b, before_ns + HOUR_NS), 2);
	cr_expect_eq(imports_at(&b, before_ns + 2 * HOUR_NS), 2, "it has it now");
	gone(&b, r);
}

Test(region, on_a_gpu_that_nobody_can_have_is_tried_ever_more_rarely)
{
	struct bed b;
	struct pool_memory *r = up_on_gpu_with(&b, "import-refused", "imports");
	uint64_t before_ns = clock_ns();

	for (uint32_t n = 1; n < 8; n++) {
		cr_expect_eq(imports_at(&b, before_ns + (n - 1) * HOUR_NS), n);
		cr_expect_eq(imports_at(&b, before_ns), n);
	}
	cr_expect_eq(imports_at(&b, before_ns + 30 * NS_PER_S), 7);
	gone(&b, r);
}

Test(region, on_a_gpu_is_for_workers_that_say_so)
{
	struct bed b;
	struct pool_memory *r = up_on_gpu(&b, "good");

	cr_assert_eq(pool_memory_try(r, "cpu:0", on_tried), -ENODEV);
	gone(&b, r);
	r = up_on_gpu(&b, "imports");
	cr_assert_eq(pool_memory_try(r, "cpu:1", on_tried), -ENODEV);
	gone(&b, r);
}

Test(region, on_a_gpu_whose_worker_ends)
{
	struct bed b;
	struct pool_memory *r = up_on_gpu(&b, "import-silent,imports");

	try(&b, r);
	kill(worker_pid(bed_worker(&b, 0)), SIGKILL);
	bed_wait(&b, n_tried == 1);
	cr_assert_str_eq(tried, "its worker has ended");
	cr_expect_eq(tried_end, -ENODEV);
	gone(&b, r);
}

Test(region, on_a_gpu_freed_while_it_is_tried)
{
	struct bed b;
	struct pool_memory *r = up_on_gpu(&b, "imports");

	try(&b, r);
	gone(&b, r);
	cr_assert_eq(n_tried, 0);
}

Test(region, on_a_gpu_imported_without_being_asked)
{
	struct bed b;
	struct pool_memory *r = up_on_gpu(&b, "w-imported,imports");

	try(&b, r);
	bed_wait(&b, n_tried == 1);
	cr_assert_str_eq(tried, "its worker has ended");
	cr_expect_eq(tried_end, -ENODEV);
	cr_assert_eq(worker_ends(bed_worker(&b, 0), WORKER_MISBEHAVED), 1);
	gone(&b, r);
}
