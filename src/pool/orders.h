/* orders.h: what a worker process is told of settings: its Setup, and the Load of a model. */
#ifndef POOL_ORDERS_H
#define POOL_ORDERS_H

struct pool_model_settings;
struct pool_settings;
struct wire_load;
struct wire_setup;

/* All but who it is (worker, device, process, threads) and the log's level. What it points to is borrowed of s. */
void orders_setup(struct wire_setup *ret_setup, const struct pool_settings *s);
/* All but its number and how many instances there are to be. Likewise. */
void orders_load(struct wire_load *ret_load, const struct pool_model_settings *s);

#endif
