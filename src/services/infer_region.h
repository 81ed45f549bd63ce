/* infer_region.h: regions of local clients that an InferRequest names: its input, its output's target. */
#ifndef SERVICES_INFER_REGION_H
#define SERVICES_INFER_REGION_H

#include <stdint.h>

#include "base/cleanup.h"
#include "services/infer.h"

/* parameters["output_region"], ["output_offset"], ["output_size"]; NULL: not given. */
struct infer_region_wish {
	const char *region;
	const char *offset; /* 0 */
	const char *size;   /* what follows the offset */
};

/*
 * The region with this token, if i's caller may use it; with a reference. INFER_E_FAILED: without a
 * handoff FAILED_PRECONDITION, else NOT_FOUND, whatever the reason
 */
_must_use_ int infer_region_find(struct infer *i, const char *token, struct region **ret_region);
/* The same where the name, n bytes, may be any text: NOT_FOUND with Triton's words. */
_must_use_ int infer_region_named(
	struct infer *i, const char *name, size_t n, struct region **ret_region);
/* Have this output of i written where the wish says. INFER_E_FAILED */
_must_use_ int infer_region_target(
	struct infer *i, uint32_t output, const struct infer_region_wish *wish);

#endif
