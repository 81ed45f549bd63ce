/* kserve_statistics.h: what models have done so far. */
#ifndef SERVICES_KSERVE_STATISTICS_H
#define SERVICES_KSERVE_STATISTICS_H

#include <stddef.h>
#include <stdint.h>

struct call;

/* As in struct method. */
void kserve_model_statistics(struct call *c, void *state, const uint8_t *data, size_t n);

#endif
