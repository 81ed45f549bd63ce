/*
 * spool.h: files that callers bring, in directories of the daemon's own: below ROOT, which daemons of one user share, each has
 * one that it keeps locked, with a directory for each load. Nobody but the user may look into them, unless the daemon lets a group read its
 * own. What a daemon that died has left is removed by the next one.
 *
 *   ROOT/PID-XXXXXX/                      locked as long as its daemon lives
 *   ROOT/PID-XXXXXX/1/MODEL/1/model.onnx  a struct spool_dir
 *
 * Bytes are counted from when they are reserved until the directory that has them is removed, which another thread does. Any thread.
 */
#ifndef BASE_SPOOL_H
#define BASE_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

struct spool;
struct spool_dir;

/*
 * ROOT is made where it is not there; it must be a directory of ours that nobody else may list or write to. limit: bytes of all files
 * together.
 *
 * -ENOMEM; -EPERM: ROOT is not ours alone; other -errno: it cannot be made
 */
_must_use_ int spool_open(struct spool **ret_spool, const char *root, uint64_t limit);
/* Remove what daemons that are not there any more have left in ROOT, for a daemon that takes no files itself. Nothing is done where
 * ROOT is not, or is not ours alone. */
void spool_sweep(const char *root);
/* This group may read what is written from now on; ROOT may be gone through by anybody then. -errno: then nobody else may read it. */
_must_use_ int spool_share(struct spool *s, gid_t group);
/* Wait until all is removed that nobody has a reference to. */
void spool_settle(struct spool *s);
/* With the directory: no struct spool_dir is left (asserted); waits as spool_settle() does. Accepts NULL; returns NULL. */
struct spool *spool_close(struct spool *s);
uint64_t spool_limit(const struct spool *s);
/* Bytes that are reserved, or in files. */
uint64_t spool_used(const struct spool *s);
/* n bytes more are to come. False: they would be more than the limit. */
_must_use_ bool spool_reserve(struct spool *s, uint64_t n);
void spool_unreserve(struct spool *s, uint64_t n);

/* With one reference; n bytes, which were reserved, are its own then. It is made when a file is written. -ENOMEM */
_must_use_ int spool_dir_new(struct spool_dir **ret_dir, struct spool *s, uint64_t n);
/* Accept NULL. With the last reference all files go, soon: the caller does not wait for that. spool_dir_unref() returns NULL. */
struct spool_dir *spool_dir_ref(struct spool_dir *d);
struct spool_dir *spool_dir_unref(struct spool_dir *d);
DEFINE_CLEANUP(struct spool_dir *, spool_dir_unref)
/* Absolute. Valid as long as the directory. */
const char *spool_dir_path(const struct spool_dir *d);
/*
 * Write a file, with directories above it. path: as spool_path_valid() wants it.
 *
 * -EEXIST: it is there; other -errno of what failed
 */
_must_use_ int spool_dir_write(struct spool_dir *d, const char *path, const void *data, size_t n);

#define SPOOL_DEPTH_MAX 8u
#define SPOOL_NAME_MAX	255u

/* Names separated by single slashes, SPOOL_DEPTH_MAX at most, none of them empty, "." or "..". */
bool spool_path_valid(const char *path);

#endif
