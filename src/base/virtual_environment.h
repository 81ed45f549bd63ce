/* virtual_environment.h: where a virtual environment of Python says that its interpreter's own libraries are. */
#ifndef BASE_VIRTUAL_ENVIRONMENT_H
#define BASE_VIRTUAL_ENVIRONMENT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Of an interpreter PREFIX/bin/python for which there is PREFIX/pyvenv.cfg: the directory that its `home` names, an absolute
 * one, in which a program python3 lies (PEP 405); its libraries are in HOME/../lib. Reads files.
 *
 * path: an absolute one. True: `home` has it. False: there is none such, or it does not fit.
 */
bool virtual_environment_home(const char *path, char *home, size_t cap);

#endif
