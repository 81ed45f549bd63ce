/* infer_failure.h: why an inference could not be done. */
#ifndef SERVICES_INFER_FAILURE_H
#define SERVICES_INFER_FAILURE_H

#include "base/cleanup.h"
#include "proto/grpc_status.h"

enum {
	INFER_E_FAILED = 1,  /* the struct infer_failure at hand says why */
	INFER_E_WAITING = 2, /* infer_receive_data(): see there */
};

struct infer_failure {
	enum grpc_status status; /* GRPC_OK: none */
	char *text;		 /* own; NULL: there was no memory for it */
};

/* Remember why; a second failure is ignored. Always INFER_E_FAILED. */
int infer_fail(struct infer_failure *f, enum grpc_status status, const char *format, ...)
	_printf_(3, 4);
/* The same for -ENOMEM. */
int infer_fail_memory(struct infer_failure *f);
/* Accepts a zeroed failure. */
void infer_failure_deinit(struct infer_failure *f);
/* Hand it on; `from` is empty then. */
void infer_failure_move(struct infer_failure *to, struct infer_failure *from);

#endif
