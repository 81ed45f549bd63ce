/*
 * trial.h: a model under suspicion is loaded in a process of its own first, which serves nobody, so that it takes
 * nobody with it. Only when that has worked do workers load it again. For src/pool alone.
 *
 * A device has one such worker, which has a process while a model of the device is to be tried, one after
 * the other, each in a new one.
 */
#ifndef POOL_TRIAL_H
#define POOL_TRIAL_H

#include <stdint.h>

struct pool;
struct pool_model;
struct worker;

/* A model of the device is under suspicion: try it soon, unless another one is being tried. */
void trial_ask(struct pool *p, uint32_t device_index);
/* t has no process, and may have one now. */
void trial_start(struct worker *t);
/* The model was loaded, or refused in an orderly manner: the process ends. */
void trial_passed(struct worker *t, struct pool_model *m);
/* The process is gone. Returns the model that has passed; NULL: none. */
struct pool_model *trial_end(struct worker *t);
/* A model goes that may be tried right now, or was. */
void trial_forget(struct pool *p, const struct pool_model *m);

#endif
