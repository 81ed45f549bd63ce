/* kserve_repository.h: RepositoryIndex. */
#ifndef SERVICES_KSERVE_REPOSITORY_H
#define SERVICES_KSERVE_REPOSITORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "models/lifecycle.h"

struct call;

/* A call, while the repositories are read. */
struct kserve_index {
	struct lifecycle_wait wait;
	struct call *call; /* borrow */
	bool ready;	   /* asked for those alone */
};

/* As in struct method. */
void kserve_repository_index(struct call *c, void *state, const uint8_t *data, size_t n);
void kserve_repository_index_turn(struct call *c, void *state);
void kserve_repository_index_close(struct call *c, void *state);

#endif
