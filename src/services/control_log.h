/* control_log.h: GetLog of the control service: the last lines of the daemon's log. */
#ifndef SERVICES_CONTROL_LOG_H
#define SERVICES_CONTROL_LOG_H

#include <stddef.h>
#include <stdint.h>

struct call;

void control_log_message(struct call *c, void *state, const uint8_t *data, size_t n);

#endif
