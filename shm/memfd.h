/* memfd.h: the memory itself: judging a client's descriptor, making one of ours. */
#ifndef SHM_MEMFD_H
#define SHM_MEMFD_H

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

enum memfd_seals {
	MEMFD_SIZE_SEALED,   /* SHRINK|GROW|SEAL: everybody may map it for writing */
	MEMFD_WRITER_SEALED, /* FUTURE_WRITE too: only mappings that are there already may write */
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
/* A new one of `size` bytes (whole pages), mode 0600, not sealed yet; `name` is shown in
 * /proc/PID/maps. -errno */
_must_use_ int memfd_new(const char *name, uint64_t size, int *ret_fd);
/*
 * Another descriptor of the same memory, open for both, which is not a copy of fd: the kernel counts it apart.
 * -errno: so there is no /proc, for one
 */
_must_use_ int memfd_reopen(int fd, int *ret_fd);
/*
 * Does nobody else have it, open or mapped? fd: of memfd_reopen(); copies of it, and what they are mapped by, do not
 * count. True, too, where the kernel does not tell.
 */
bool memfd_is_alone(int fd);
/* For good: a sealed one keeps its seals. -errno */
_must_use_ int memfd_seal(int fd, enum memfd_seals seals);
/*
 * Pages that it does not have yet are taken from that NUMA node where it has some, whoever touches them first, and else from
 * any; where a host knows no nodes, or forbids the choice, nothing happens. base: where its `size` bytes are mapped.
 * numa_node: counted from 1, up to MEMFD_NUMA_NODES.
 */
#define MEMFD_NUMA_NODES 1024u
void memfd_prefer_node(void *base, uint64_t size, uint32_t numa_node);
/*
 * Make `length` bytes at `offset`, mapped for writing at `base` + offset, resident (whole pages).
 * Changes no byte and reads none, so they may be in use meanwhile: any thread. May take long.
 * -errno, where the host has no memory for them: touching them would raise SIGBUS then.
 */
_must_use_ int memfd_populate(int fd, void *base, uint64_t offset, uint64_t length);
/*
 * The same for all pages of a file that is not mapped yet, in huge ones where the host allows it.
 * -ECANCELED: *stop became true meanwhile; -errno also of mmap()
 */
_must_use_ int memfd_populate_all(int fd, uint64_t size, atomic_bool *stop);
/*
 * Copy `length` bytes to `offset` of it, without mapping it: where the host has no memory for them, this fails
 * where a store would be a signal. Any thread; may take long.
 * -ECANCELED: *stop became true meanwhile; -errno
 */
_must_use_ int memfd_write(
	int fd, uint64_t offset, const void *data, uint64_t length, atomic_bool *stop);

#endif
