/* fake_lender.h: another process that has memory on the stand-in's GPU, and its handle. */
#ifndef TESTS_UNIT_WORKERS_FAKE_LENDER_H
#define TESTS_UNIT_WORKERS_FAKE_LENDER_H

#include <stddef.h>

#include "workers/device.h"

struct lender {
	char folder[64];
	unsigned char *data; /* as it sees its memory */
	size_t bytes;
	unsigned char handle[DEVICE_HANDLE_BYTES];
};

/* The stand-in starts anew, with these settings besides. The memory is full of `fill`. */
void lender_init(struct lender *l, size_t bytes, int fill, const char *settings);
void lender_deinit(struct lender *l);

#endif
