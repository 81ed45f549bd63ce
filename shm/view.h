/*
 * view.h: a segment of somebody else's, or a region, mapped by a borrower. Trusts nothing: seals and size are checked
 * before mapping, every span is resolved with overflow-safe bounds.
 */
#ifndef SHM_VIEW_H
#define SHM_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "shm/span.h"

struct view;

/*
 * Map fd (borrowed: the view keeps no descriptor) as segment `id`, size bytes, read-only.
 *
 * -EINVAL   size is 0, or fstat size differs from `size`
 * -EPERM    F_SEAL_SHRINK|F_SEAL_GROW|F_SEAL_FUTURE_WRITE|F_SEAL_SEAL are not all there (or no memfd
 *           at all), or the pages are hugetlb, which can raise SIGBUS in spite of the seals
 * -ENOMEM, -errno of mmap
 */
_must_use_ int view_new(struct view **ret_view, int fd, uint64_t id, uint64_t size);
/*
 * The same for a client's region, mapped read-write where `writable`: F_SEAL_FUTURE_WRITE or
 * F_SEAL_WRITE on the descriptor are -EPERM then. Seals checked: SHRINK|GROW|SEAL.
 */
_must_use_ int view_new_region(
	struct view **ret_view, int fd, uint64_t id, uint64_t size, bool writable);
struct view *view_free(struct view *v);
DEFINE_CLEANUP(struct view *, view_free)

uint64_t view_id(const struct view *v);
/* Nobody can ever write to it again: it is sealed F_SEAL_WRITE. */
bool view_is_constant(const struct view *v);
uint64_t view_size(const struct view *v);
/* NULL when the span is of other memory or not wholly inside. A span of length 0 inside of it gives a valid pointer. */
const void *view_data(const struct view *v, const struct span *span);
/* The same, for writing; NULL too when the view is read-only. */
void *view_data_writable(const struct view *v, const struct span *span);

#endif
