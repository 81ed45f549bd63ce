/* top_view.h: what `modelctl top` shows, as text of 80 columns: from two looks at a daemon, how it was between them. */
#ifndef CLIENTS_MODELCTL_TOP_VIEW_H
#define CLIENTS_MODELCTL_TOP_VIEW_H

#include <stdint.h>
#include <stdio.h>

#include "proto/control.pb-c.h"
#include "proto/kserve/grpc_service.pb-c.h"

struct top_look {
	uint64_t at_ns;
	Modeld__Control__V1__ServerStatusResponse *status; /* own */
	Inference__ModelStatisticsResponse *statistics;	   /* own */
};

/* Zeroed before and after. */
void top_look_release(struct top_look *l);
/* before->status is NULL where there was no look: rates and times are not known then. */
void top_view_print(FILE *out, const struct top_look *now, const struct top_look *before);

#endif
