/* zip.h: archives as numpy's .npz files are: members stored or deflated, in memory to read, to a stream to write. */
#ifndef CLIENTS_MODELCTL_ZIP_H
#define CLIENTS_MODELCTL_ZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/cleanup.h"

struct zip_member {
	const char *name; /* borrow of the archive; not terminated */
	size_t n_name;
	const uint8_t *packed; /* borrow likewise */
	size_t n_packed;
	size_t n;
	uint32_t crc;
	bool deflated;
};

/* Over an archive's table of contents. */
struct zip_reader {
	const uint8_t *data; /* borrow */
	size_t n;
	size_t at;
	unsigned left; /* members */
};

/* Does it begin as an archive does? */
bool zip_is_one(const uint8_t *data, size_t n);
/* -EINVAL: no archive, or of several volumes, or with more than 65534 members or 4 GiB */
_must_use_ int zip_open(struct zip_reader *z, const uint8_t *data, size_t n);
/* The next member. -ENOENT: there is none; -EINVAL: malformed, encrypted, or packed by another method */
_must_use_ int zip_next(struct zip_reader *z, struct zip_member *ret_member);
/* Its content, which the caller frees: never NULL. -EINVAL: it is not what the archive says; -ENOMEM */
_must_use_ int zip_extract(const struct zip_member *m, uint8_t **ret_data);

struct zip_writer {
	FILE *out;	  /* borrow */
	struct buf table; /* own: of contents */
	uint32_t at;
	uint16_t n;
};

struct zip_piece {
	const void *data;
	size_t n;
};

void zip_writer_init(struct zip_writer *w, FILE *out);
void zip_writer_deinit(struct zip_writer *w);
/* A stored member. -EFBIG: above 4 GiB in all, or above 65534 members; -EIO; -ENOMEM */
_must_use_ int zip_add(
	struct zip_writer *w, const char *name, const struct zip_piece *pieces, size_t n_pieces);
/* The table of contents; nothing may follow. -EIO */
_must_use_ int zip_end(struct zip_writer *w);

#endif
