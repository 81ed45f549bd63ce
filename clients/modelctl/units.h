/* units.h: bytes and times as people read them. */
#ifndef CLIENTS_MODELCTL_UNITS_H
#define CLIENTS_MODELCTL_UNITS_H

#include <stdint.h>

/* "1.5 MiB" into out. Returns out, as the others. */
const char *bytes_text(uint64_t n, char out[32]);
/* "1.5M" */
const char *short_bytes_text(uint64_t n, char out[32]);
/* "1.5 s", "2 min 3 s", "4 h 5 min" */
const char *duration_text(uint64_t ms, char out[32]);

#endif
