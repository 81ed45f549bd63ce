/* processors.h: how many processors this process may use. Any process, any thread; reads files. */
#ifndef BASE_PROCESSORS_H
#define BASE_PROCESSORS_H

#include <stdint.h>

/*
 * The least of what its affinity allows and what control groups give it, its own or one above, version 1 or 2: whole ones,
 * at least 1. `root` stands before each path that is read, "" for the real ones.
 */
uint32_t processors_usable(const char *root);

#endif
