/* pbtxt_error.h: what is wrong in a part of a config.pbtxt. */
#ifndef MODELS_PBTXT_ERROR_H
#define MODELS_PBTXT_ERROR_H

/* String literals: which field, and how. */
struct pbtxt_error {
	const char *field;
	const char *what;
};

#endif
