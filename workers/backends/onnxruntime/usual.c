/*
 * usual.c: see usual.h. Worker process.
 */
#include "workers/backends/onnxruntime/usual.h"

/* Far above: so many times the mean, and by more than what is not worth a system call. */
#define FAR_TIMES 4u
#define FAR_BYTES (UINT64_C(1) << 20)
/* How many runs it takes for what is new to be usual: about so many. */
#define MEAN_OF 16u

bool usual_exceeded(struct usual *u, uint64_t bytes)
{
	bool far = u->known && bytes > FAR_BYTES && bytes / FAR_TIMES > u->bytes;

	if (!u->known)
		u->bytes = bytes;
	else if (bytes > u->bytes)
		u->bytes += (bytes - u->bytes) / MEAN_OF;
	else
		u->bytes -= (u->bytes - bytes) / MEAN_OF;
	u->known = true;
	return far;
}
