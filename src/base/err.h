/*
 * err.h: the one error space. 0 is success; a negative value is -errno, fatal for the object and
 * passed up unchanged; a positive value is an X_E_ code of the header of the function called,
 * which the direct caller handles and never forwards. ret_ outputs are untouched on failure.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>

/* Readable text for a negative error ("No space left on device"); never NULL, static storage or
 * thread-local storage valid until the next call on this thread. */
const char *err_str(int err);
/* Is there too little memory, or are there too few descriptors (-ENOMEM, -EMFILE, -ENFILE)? That says nothing of what was
 * asked for, and passes. */
bool err_is_shortage(int err);

#endif
