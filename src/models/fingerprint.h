/* fingerprint.h: tells one state of a directory from another, without reading its files. */
#ifndef MODELS_FINGERPRINT_H
#define MODELS_FINGERPRINT_H

#include <stdint.h>

#include "base/cleanup.h"

/*
 * Of all files below the directory, links followed: their names, devices, inodes, sizes and times of change.
 * Another number when one of them is another; 0: the directory cannot be read. It is looked into 8 deep.
 *
 * What err_is_shortage() names: nothing can be said.
 */
_must_use_ int fingerprint_directory(const char *directory, uint64_t *ret_fingerprint);
/* Of one file; 0: there is none. */
uint64_t fingerprint_file(const char *path);

#endif
