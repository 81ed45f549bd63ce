/* config_default.h: the configuration that `make install` has laid beside this program. */
#ifndef CONFIG_DEFAULT_H
#define CONFIG_DEFAULT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

/*
 * Which file goes with the program at this absolute path, by scripts/install.mk: of PREFIX/bin/modeld it is
 * PREFIX/etc/modeld/modeld.conf, and /etc/modeld/modeld.conf where PREFIX is /usr. Whether it is there is not looked at.
 * false: the program lies in no such place, as in a build tree, or cap bytes are too few
 */
_must_use_ bool config_default_file(const char *program, char *ret_file, size_t cap);

#endif
