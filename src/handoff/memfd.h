/* memfd.h: the memory itself: judging a client's descriptor, making one of ours. */
#ifndef HANDOFF_MEMFD_H
#define HANDOFF_MEMFD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

/* Which file it is: two descriptors of one file are one memory. */
struct memfd_identity {
	dev_t device;
	ino_t inode;
};

enum {
	MEMFD_E_UNFIT = 1, /* the text says why */
};

/*
 * May this descriptor, of which a client says that it has `size` bytes, be shared? A memfd sealed
 * SHRINK|GROW|SEAL, of that size and whole pages, not of huge pages, open for reading, and for
 * writing too where outputs go there (!read_only).
 *
 * MEMFD_E_UNFIT: text (cap bytes) tells the client why
 */
_must_use_ int memfd_check(int fd, uint64_t size, bool read_only,
	struct memfd_identity *ret_identity, char *text, size_t cap);
/* size in whole pages. -EOVERFLOW: 0, or more than a file can have */
_must_use_ int memfd_round(uint64_t size, uint64_t *ret_size);
/* A new one of `size` bytes (whole pages), sealed SHRINK|GROW|SEAL, mode 0600. -errno */
_must_use_ int memfd_new(uint64_t size, int *ret_fd);
/*
 * Make all its pages resident, in huge ones where the host allows it. May take long: any thread.
 * -ECANCELED: *stop became true meanwhile; -errno of mmap() or madvise()
 */
_must_use_ int memfd_populate(int fd, uint64_t size, atomic_bool *stop);

#endif
