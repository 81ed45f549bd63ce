/* serve.h: what clients of the handoff may ask. */
#ifndef HANDOFF_SERVE_H
#define HANDOFF_SERVE_H

#include <stddef.h>

struct handoff_message;
struct guest;

/* Do what the message asks for, and answer it, now or later (struct handoff.serve). */
void serve_message(struct guest *p, const struct handoff_message *m, int *fds, size_t n_fds);

#endif
