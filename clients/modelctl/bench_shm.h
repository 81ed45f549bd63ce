/* bench_shm.h: an object of shared memory that the daemon knows by name, as Triton's clients use it. */
#ifndef CLIENTS_MODELCTL_BENCH_SHM_H
#define CLIENTS_MODELCTL_BENCH_SHM_H

#include "clients/modelctl/bench_request.h"

/* Zeroed to begin with. */
struct bench_shm {
	const struct modelctl *m; /* borrow */
	char name[64];		  /* of the region; "": none is registered */
};

/*
 * An object of `bytes` with the inputs at its beginning, registered over `client`. Its name in /dev/shm is gone when this
 * returns. 0, or an exit code after saying what failed.
 */
_must_use_ int bench_shm_make(struct bench_shm *x, const struct modelctl *m,
	struct grpc_client *client, const struct bench_tensors *inputs, uint64_t bytes);
/* The daemon forgets it, where it still answers: over `client`, which need not be the connection that it was registered over. */
void bench_shm_release(struct bench_shm *x, struct grpc_client *client);

#endif
