/* overlay_bytes.h: files that a caller brings, as they come. */
#ifndef MODELS_OVERLAY_BYTES_H
#define MODELS_OVERLAY_BYTES_H

#include <stddef.h>

struct overlay_file {
	const char *path; /* below the model's directory: VERSION/NAME */
	const void *data;
	size_t n;
};

/* What they lie in until they are written, or not any more. */
struct overlay_bytes {
	const struct overlay_file *list;
	size_t n;
	void (*release)(void *data); /* on either thread */
	void *data;
};

#endif
