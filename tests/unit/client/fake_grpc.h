/*
 * fake_grpc.h: a gRPC server in a process of its own. What it does with a call is said by the path, see
 * fake_grpc.c; ModelWorkerService/Infer answers as the request's model says.
 */
#ifndef TESTS_UNIT_CLIENT_FAKE_GRPC_H
#define TESTS_UNIT_CLIENT_FAKE_GRPC_H

#include <sys/types.h>

#define FAKE_HUGE_BYTES (8u << 20)

struct fake_grpc {
	pid_t pid;
	char dir[32];
	char path[64];	  /* of the Unix socket */
	char address[80]; /* unix:path, or 127.0.0.1:port */
};

/* Listens when it returns. */
void fake_grpc_start(struct fake_grpc *f, int tcp);
void fake_grpc_stop(struct fake_grpc *f);

#endif
