/*
 * arena.c: shared memory that this process alone writes: a sealed memfd, its one writable mapping,
 * and spans cut from it by arena_blocks.c.
 *
 * Invariants: the seals are on before anybody else sees the descriptor; nothing is ever read back
 * from the memory for the arena's own purposes; touched >= frontier; a range that is being
 * populated (populating) was fixed by arena_populate_next() and is not looked at until
 * arena_populate_done().
 *
 * Daemon process (input arena) or worker process (output arena), on the owner's thread;
 * arena_populate_run() alone runs on any: it uses only what is constant after arena_new(), and it
 * writes no byte of the memory.
 */
#include "shm/arena.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "shm/arena_blocks.h"

#ifndef MFD_NOEXEC_SEAL /* Linux 6.3 */
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef MADV_POPULATE_WRITE /* Linux 5.14 */
#define MADV_POPULATE_WRITE 23
#endif

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)

_Static_assert(sizeof(size_t) == sizeof(uint64_t), "spans are 64 bit: so must addresses be");

struct arena {
	int fd;	       /* own */
	uint8_t *base; /* own: the mapping */
	uint64_t id;
	uint64_t size; /* bytes, whole pages */
	uint64_t page; /* bytes */
	struct arena_blocks blocks;

	uint64_t populate_ahead; /* bytes */
	uint64_t populate_from;	 /* offset: below it nothing is populated any more */
	uint64_t touched;	 /* offset: the end of what was ever used or populated */
	uint64_t populating_end; /* offset; of the range in progress */
	bool populating;
};

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t page_down(const struct arena *a, uint64_t bytes)
{
	return bytes & ~(a->page - 1);
}

/* bytes <= a->size, which is whole pages: cannot overflow. */
static uint64_t page_up(const struct arena *a, uint64_t bytes)
{
	return page_down(a, bytes + a->page - 1);
}

static int open_memfd(const char *name)
{
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL) /* a kernel before 6.3 */
		fd = memfd_create(name, flags);
	return fd < 0 ? -errno : fd;
}

static int map_and_seal(struct arena *a, const struct arena_options *options)
{
	void *base;

	a->fd = open_memfd(options->name);
	if (a->fd < 0)
		return a->fd;
	if (fchmod(a->fd, 0600) < 0 || ftruncate(a->fd, (off_t)a->size) < 0)
		return -errno;
	base = mmap(NULL, a->size, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	a->base = base;
	if (fcntl(a->fd, F_ADD_SEALS, SEALS) < 0)
		return -errno;
	if (options->pages == ARENA_PAGES_THP)
		(void)madvise(a->base, a->size, MADV_HUGEPAGE); /* a wish */
	return 0;
}

int arena_new(struct arena **ret_arena, const struct arena_options *options)
{
	_cleanup_(arena_freep) struct arena *a = NULL;
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t first;
	int r;

	if (!options->name || options->id == 0 || options->size == 0 ||
		options->size > INT64_MAX - page)
		return -EINVAL;
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	a->fd = -1;
	a->id = options->id;
	a->page = page;
	a->size = page_up(a, options->size);
	a->populate_ahead = options->populate_ahead;
	arena_blocks_init(&a->blocks, a->size / ARENA_ALIGN);
	r = map_and_seal(a, options);
	if (r)
		return r;
	first = page_up(a, min_u64(options->populate_first, a->size));
	r = first > 0 ? arena_populate_run(a, 0, first) : 0;
	if (r)
		return r;
	a->touched = a->populate_from = first;
	*ret_arena = steal_ptr(a);
	return 0;
}

struct arena *arena_free(struct arena *a)
{
	if (!a)
		return NULL;
	arena_blocks_deinit(&a->blocks);
	if (a->base)
		munmap(a->base, a->size);
	close_fd(&a->fd);
	free(a);
	return NULL;
}

int arena_fd(const struct arena *a)
{
	return a->fd;
}

uint64_t arena_id(const struct arena *a)
{
	return a->id;
}

uint64_t arena_size(const struct arena *a)
{
	return a->size;
}

uint64_t arena_used(const struct arena *a)
{
	return a->blocks.used * ARENA_ALIGN;
}

uint64_t arena_n_spans(const struct arena *a)
{
	return a->blocks.n_used;
}

uint64_t arena_touched(const struct arena *a)
{
	return a->touched;
}

static uint64_t frontier(const struct arena *a)
{
	return a->blocks.frontier * ARENA_ALIGN;
}

int arena_alloc(struct arena *a, uint64_t length, struct span *ret_span)
{
	struct block *block;
	uint64_t n;
	int r;

	if (length > a->size)
		return ARENA_E_TOO_LARGE;
	n = length ? (length + ARENA_ALIGN - 1) / ARENA_ALIGN : 1;
	r = arena_blocks_take(&a->blocks, n, &block);
	if (r)
		return r == BLOCKS_E_FULL ? ARENA_E_FULL : r;
	block->length = length;
	a->touched = max_u64(a->touched, frontier(a));
	*ret_span = (struct span){
		.arena = a->id,
		.generation = block->generation,
		.offset = block->start * ARENA_ALIGN,
		.length = length,
	};
	return 0;
}

/* The allocation that the span is, or is a slice of; NULL: stale, or not inside of it. */
static struct block *resolve(const struct arena *a, const struct span *span)
{
	struct block *block;
	uint64_t start;

	if (span->arena != a->id)
		return NULL;
	block = arena_blocks_find(&a->blocks, span->generation);
	if (!block)
		return NULL;
	start = block->start * ARENA_ALIGN;
	if (span->offset < start || span->offset - start > block->length ||
		span->length > block->length - (span->offset - start))
		return NULL;
	return block;
}

int arena_release(struct arena *a, const struct span *span)
{
	struct block *block = resolve(a, span);

	if (!block)
		return -ESTALE;
	arena_blocks_give(&a->blocks, block);
	return 0;
}

void *arena_data(struct arena *a, const struct span *span)
{
	return resolve(a, span) ? a->base + span->offset : NULL;
}

bool arena_populate_next(
	struct arena *a, uint64_t max_bytes, uint64_t *ret_offset, uint64_t *ret_length)
{
	uint64_t start = page_down(a, max_u64(a->populate_from, a->touched));
	uint64_t target = frontier(a) + min_u64(a->populate_ahead, a->size - frontier(a));
	uint64_t length;

	if (a->populating || start >= target)
		return false;
	length = min_u64(page_up(a, target) - start, page_down(a, max_bytes));
	if (length == 0)
		return false;
	a->populating = true;
	a->populating_end = start + length;
	*ret_offset = start;
	*ret_length = length;
	return true;
}

int arena_populate_run(struct arena *a, uint64_t offset, uint64_t length)
{
	int r;

	assert(offset <= a->size && length <= a->size - offset);
	do
		r = madvise(a->base + offset, length, MADV_POPULATE_WRITE);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return 0;
	if (errno != EINVAL)
		return -errno;
	/* A kernel before 5.14. Touching the pages from here would race with the owner, who may have
	 * begun to use them; this makes them without looking at them. */
	do
		r = fallocate(a->fd, 0, (off_t)offset, (off_t)length);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

void arena_populate_done(struct arena *a, bool ok)
{
	assert(a->populating);
	a->populating = false;
	a->populate_from = max_u64(a->populate_from, a->populating_end);
	if (ok)
		a->touched = max_u64(a->touched, a->populating_end);
}
