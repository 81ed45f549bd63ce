/*
 * segment.c: shared memory that this process alone writes: a sealed memfd, its one writable mapping,
 * and spans cut from it by segment_blocks.c.
 *
 * Invariants: the seals are on before anybody else sees the descriptor; nothing is ever read back
 * from the memory for the segment's own purposes; a range that is being populated was fixed by
 * segment_populate_next().
 *
 * Daemon process (input) or worker process (output), on the owner's thread; segment_populate_run()
 * alone runs on any: it uses only what is constant after segment_new(), and it writes no byte of the
 * memory.
 */
#include "shm/segment.h"

#include <assert.h>
#include <errno.h>
#include <sys/mman.h>

#include "shm/memfd.h"
#include "shm/segment_blocks.h"
#include "shm/segment_pages.h"

_Static_assert(sizeof(size_t) == sizeof(uint64_t), "spans are 64 bit: so must addresses be");

struct segment {
	int fd;	       /* own */
	uint8_t *base; /* own: the mapping */
	uint64_t id;
	uint64_t size; /* bytes, whole pages */
	struct segment_blocks blocks;
	struct segment_pages pages;		 /* in parts */
	uint64_t populating_from, populating_to; /* parts in progress; equal: none */
};

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Parts that `bytes` reach into. */
static uint64_t parts_of(uint64_t bytes)
{
	return bytes / SEGMENT_PART + (bytes % SEGMENT_PART > 0);
}

/* Where part i starts; the last one may be shorter than others. */
static uint64_t offset_of(const struct segment *s, uint64_t i)
{
	return min_u64(i * SEGMENT_PART, s->size);
}

static int map_and_seal(struct segment *s, const struct segment_options *options)
{
	void *base;
	int r = memfd_new(options->name, s->size, &s->fd);

	if (r)
		return r;
	base = mmap(NULL, s->size, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	s->base = base;
	r = memfd_seal(s->fd, MEMFD_WRITER_SEALED);
	if (r)
		return r;
	if (madvise(base, s->size, MADV_DONTDUMP) < 0 || madvise(base, s->size, MADV_DONTFORK) < 0)
		return -errno;
	if (options->pages == SEGMENT_PAGES_THP)
		(void)madvise(base, s->size, MADV_HUGEPAGE); /* a wish */
	if (options->numa_node > 0)
		memfd_prefer_node(base, s->size, options->numa_node);
	return 0;
}

int segment_new(struct segment **ret_segment, const struct segment_options *options)
{
	_cleanup_(segment_freep) struct segment *s = NULL;
	uint64_t size;
	int r;

	if (!options->name || memfd_round(options->size, &size))
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->fd = -1;
	s->size = size;
	segment_blocks_init(&s->blocks, size / SEGMENT_ALIGN);
	r = segment_pages_init(&s->pages, parts_of(size));
	if (!r)
		r = map_and_seal(s, options);
	if (r)
		return r;
	*ret_segment = steal_ptr(s);
	return 0;
}

struct segment *segment_free(struct segment *s)
{
	if (!s)
		return NULL;
	segment_blocks_deinit(&s->blocks);
	segment_pages_deinit(&s->pages);
	if (s->base)
		munmap(s->base, s->size);
	close_fd(&s->fd);
	free(s);
	return NULL;
}

void segment_set_id(struct segment *s, uint64_t id)
{
	assert(id != 0 && s->blocks.n_used == 0);
	s->id = id;
}

uint64_t segment_id(const struct segment *s)
{
	return s->id;
}

int segment_fd(const struct segment *s)
{
	return s->fd;
}

void *segment_base(const struct segment *s)
{
	return s->base;
}

uint64_t segment_size(const struct segment *s)
{
	return s->size;
}

uint64_t segment_used(const struct segment *s)
{
	return s->blocks.used * SEGMENT_ALIGN;
}

uint64_t segment_n_spans(const struct segment *s)
{
	return s->blocks.n_used;
}

uint64_t segment_frontier(const struct segment *s)
{
	return s->blocks.frontier * SEGMENT_ALIGN;
}

uint64_t segment_resident(const struct segment *s)
{
	return min_u64(s->pages.n_there * SEGMENT_PART, s->size);
}

/* --- Spans ----------------------------------------------------------------------------------- */

int segment_alloc(struct segment *s, uint64_t length, struct span *ret_span)
{
	struct block *block;
	uint64_t n;
	int r;

	assert(s->id != 0);
	if (length > s->size)
		return SEGMENT_E_FULL;
	n = length ? (length + SEGMENT_ALIGN - 1) / SEGMENT_ALIGN : 1;
	r = segment_blocks_take(&s->blocks, n, &block);
	if (r)
		return r == BLOCKS_E_FULL ? SEGMENT_E_FULL : r;
	if (segment_pages_any_bad(&s->pages, block->start * SEGMENT_ALIGN / SEGMENT_PART,
		    parts_of((block->start + n) * SEGMENT_ALIGN))) {
		segment_blocks_give(&s->blocks, block);
		return SEGMENT_E_MEMORY;
	}
	block->length = length;
	*ret_span = (struct span){
		.arena = s->id,
		.generation = block->generation,
		.offset = block->start * SEGMENT_ALIGN,
		.length = length,
	};
	return 0;
}

/* The allocation that the span is, or is a slice of; NULL: stale, or not inside of it. */
static struct block *resolve(const struct segment *s, const struct span *span)
{
	struct block *block;
	uint64_t start;

	if (span->arena != s->id)
		return NULL;
	block = segment_blocks_find(&s->blocks, span->generation);
	if (!block)
		return NULL;
	start = block->start * SEGMENT_ALIGN;
	if (span->offset < start || span->offset - start > block->length ||
		span->length > block->length - (span->offset - start))
		return NULL;
	return block;
}

int segment_release(struct segment *s, const struct span *span)
{
	struct block *block = resolve(s, span);

	if (!block)
		return -ESTALE;
	segment_blocks_give(&s->blocks, block);
	if (s->blocks.n_used == 0)
		segment_pages_forgive(&s->pages);
	return 0;
}

void *segment_data(struct segment *s, const struct span *span)
{
	return resolve(s, span) ? s->base + span->offset : NULL;
}

/* --- Pages ----------------------------------------------------------------------------------- */

static uint64_t first_part(const struct span *span)
{
	return span->offset / SEGMENT_PART;
}

/* Behind the last. */
static uint64_t end_part(const struct span *span)
{
	return parts_of(span->offset + (span->length ? span->length : 1));
}

uint64_t segment_missing(const struct segment *s, const struct span *span)
{
	uint64_t from = first_part(span);
	uint64_t to = end_part(span);

	if (segment_pages_all_there(&s->pages, from, to))
		return 0;
	if (segment_pages_any_bad(&s->pages, from, to))
		return UINT64_MAX;
	return segment_pages_missing(&s->pages, from, to) * SEGMENT_PART;
}

bool segment_populate_next(struct segment *s, uint64_t goal, uint64_t max_bytes,
	uint64_t *ret_offset, uint64_t *ret_length)
{
	uint64_t end = parts_of(min_u64(goal, s->size));
	uint64_t max = max_bytes / SEGMENT_PART;

	if (s->populating_to > s->populating_from ||
		!segment_pages_next(
			&s->pages, 0, end, max ? max : 1, &s->populating_from, &s->populating_to))
		return false;
	*ret_offset = offset_of(s, s->populating_from);
	*ret_length = offset_of(s, s->populating_to) - *ret_offset;
	return true;
}

int segment_populate_run(const struct segment *s, uint64_t offset, uint64_t length)
{
	assert(offset <= s->size && length <= s->size - offset);
	return memfd_populate(s->fd, s->base, offset, length);
}

static void populated(struct segment *s, uint64_t from, uint64_t to, int result)
{
	if (result)
		segment_pages_spoil(&s->pages, from, to);
	else
		segment_pages_set(&s->pages, from, to);
}

void segment_populate_done(struct segment *s, int result)
{
	assert(s->populating_to > s->populating_from);
	populated(s, s->populating_from, s->populating_to, result);
	s->populating_to = s->populating_from;
}

int segment_populate_span(struct segment *s, const struct span *span)
{
	uint64_t end = end_part(span);
	uint64_t from, to;

	if (segment_pages_any_bad(&s->pages, first_part(span), end))
		return SEGMENT_E_MEMORY;
	while (segment_pages_next(&s->pages, first_part(span), end, UINT64_MAX, &from, &to)) {
		uint64_t start = offset_of(s, from);
		int r = segment_populate_run(s, start, offset_of(s, to) - start);

		populated(s, from, to, r);
		if (r)
			return SEGMENT_E_MEMORY;
	}
	return 0;
}
