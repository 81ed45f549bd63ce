/* machine.h: how much memory there is for this process, and whom the want of it has ended. Daemon process, any thread; reads files. */
#ifndef BASE_MACHINE_H
#define BASE_MACHINE_H

#include <stddef.h>
#include <stdint.h>

/*
 * The smallest of what the machine has and what a control group allows, of this process's own or of one above it,
 * version 1 or 2. `root` stands before each path that is read, "" for the real ones. ret_what (cap bytes) names the
 * file that said so. 0 where nothing can be read.
 */
uint64_t machine_memory(const char *root, char *ret_what, size_t cap);
/*
 * How many processes the kernel has ended for want of memory: of this process's control group, or, where none counts, of
 * the host. 0 where nothing can be read.
 */
uint64_t machine_oom_kills(const char *root);

#endif
