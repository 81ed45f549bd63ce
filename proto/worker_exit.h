/* worker_exit.h: what a worker's exit status says to the daemon: docs/protocol.md. */
#ifndef PROTO_WORKER_EXIT_H
#define PROTO_WORKER_EXIT_H

enum worker_exit {
	WORKER_EXIT_OK = 0,
	WORKER_EXIT_INTERNAL =
		70, /* the daemon broke the protocol, or the host refused something */
	WORKER_EXIT_DEVICE_LOST =
		76, /* the device or a backend cannot go on here; a new process can */
	WORKER_EXIT_DEVICE_UNUSABLE = 77, /* the device or its driver needs attention */
	WORKER_EXIT_CONFIG = 78,	  /* trying again is of no use */
};

#endif
