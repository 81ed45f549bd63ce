/* kserve_settings.h: settings of traces and logging. */
#ifndef SERVICES_KSERVE_SETTINGS_H
#define SERVICES_KSERVE_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

struct call;

/* As in struct method. */
void kserve_trace_setting(struct call *c, void *state, const uint8_t *data, size_t n);
void kserve_log_settings(struct call *c, void *state, const uint8_t *data, size_t n);

#endif
