/*
 * link.h: a connection by handoff, with room for LINK_DEPTH requests of one input and one output. One
 * thread at a time.
 */
#ifndef GPU_CHECK_LINK_H
#define GPU_CHECK_LINK_H

#include "clients/c/modeld.h"
#include "tests/gpu/check/check.h"
#include "tests/gpu/check/daemon.h"

#define LINK_DEPTH 8u

struct link {
	struct modeld *m;
	struct modeld_region *region;
	const char *model;
	size_t in_bytes, out_bytes;
	enum modeld_type type;
	int64_t dims[2];
	uint32_t rank;
	struct modeld_error error;
};

/* For a model that takes `bytes` of u8 and gives as many; the caller may say otherwise in *l. False:
 * l->error says why; link_close() is still to be called. */
_must_use_ bool link_open(struct link *l, const struct daemon *d, const char *model, size_t bytes);
/* For an mlp of widths 64, 256, 10. */
_must_use_ bool link_open_mlp(
	struct link *l, const struct daemon *d, const char *model, unsigned rows);
void link_close(struct link *l);
/* Where the input or the output of a slot lies in the region. */
uint64_t link_place(const struct link *l, unsigned slot, bool out);
unsigned char *link_data(const struct link *l, unsigned slot, bool out);
/* 0, or an error code of modeld.h */
_must_use_ int link_infer(struct link *l, unsigned slot);
/* One after another for measure_ns: the median, in microseconds. 0: one failed. */
double link_latency_us(struct link *l, struct check *c);
/* LINK_DEPTH at once: calls a second. 0: one failed. */
double link_rate(struct link *l, const struct check *c);

#endif
