/*
 * standard_fds.h: descriptors 0, 1 and 2 are taken, whoever started the process.
 */
#ifndef BASE_STANDARD_FDS_H
#define BASE_STANDARD_FDS_H

#include "base/cleanup.h"

/*
 * Open those that are closed on /dev/null (where there is none: on a directory, which nothing can be
 * written to), so that no socket and no memory of ours gets a number that libraries print to. First
 * thing in main(), before threads. -errno
 */
_must_use_ int standard_fds_open(void);

#endif
