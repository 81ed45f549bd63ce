/* run_private.h: what run*.c share. */
#ifndef WORKERS_RUN_PRIVATE_H
#define WORKERS_RUN_PRIVATE_H

#include "workers/run.h"

/* --- run_output.c ------------------------------------------------------------------------- */

/* The batch's output(), see backend.h. */
void *run_give_output(const struct modeld_batch *batch, const struct modeld_output *want,
	struct modeld_error *error);
/* The run is over, or has an answer: check output i and bring it to its final place. What nobody wants is given
 * back. MODELD_INTERNAL */
enum modeld_code run_finish_output(struct run *r, size_t i, struct modeld_error *error);
/* Its memory is somebody else's. */
void run_forget_output(struct run_output *o);

#endif
