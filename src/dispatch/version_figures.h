/*
 * version_figures.h: what is measured of a version's requests: how long each stage of one's life takes, how large batches
 * are, why requests fail. Filled where it happens; read by whoever shows it.
 *
 *   received --RECEIVE--> submitted --QUEUE--> sent --SEND + COMPUTE--> answered --REPLY--> taken by its connection
 */
#ifndef DISPATCH_VERSION_FIGURES_H
#define DISPATCH_VERSION_FIGURES_H

#include <stdint.h>

#include "base/histogram.h"

enum version_stage {
	VERSION_RECEIVE, /* from the first byte of a message until it was read and checked; not of local clients */
	VERSION_QUEUE,	 /* until it was sent to the worker that answered */
	VERSION_SEND,	 /* there and back, and waiting in the worker: what was not COMPUTE */
	VERSION_COMPUTE, /* the run of its batch, as the worker measured */
	VERSION_REPLY,	 /* until the answer was handed to the connection; unary calls alone */
	VERSION_STAGES_,
};

enum version_failure {
	VERSION_REJECTED, /* by us, at once: it does not fit the declaration, a limit, there is no worker */
	VERSION_CANCELED, /* nobody wanted the answer any more */
	VERSION_BACKEND,  /* a worker answered with an error */
	VERSION_OTHER,	  /* deadlines, lost workers, the end */
	VERSION_FAILURES_,
};

struct version_figures {
	struct histogram stages[VERSION_STAGES_]; /* ns; of requests that went well */
	struct histogram total;	     /* ns, received (or submitted) to answered; likewise */
	struct histogram batch_rows; /* of batches that were sent */
	uint64_t failures[VERSION_FAILURES_];
	uint64_t sequences_lost; /* ended with the worker that had them */
};

#endif
