/* virtual_environment.h: where the libraries of the interpreter are that a virtual environment of Python was made of. */
#ifndef BASE_VIRTUAL_ENVIRONMENT_H
#define BASE_VIRTUAL_ENVIRONMENT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Of an interpreter PREFIX/bin/python for which there is PREFIX/pyvenv.cfg: HOME/../lib of the directory that its `home` names,
 * an absolute one, in which a program python3 lies (PEP 405). Reads files.
 *
 * path: an absolute one. True: `libraries` has it. False: there is none such, or it does not fit.
 */
bool virtual_environment_libraries(const char *path, char *libraries, size_t cap);

#endif
