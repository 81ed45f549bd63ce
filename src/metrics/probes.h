/* probes.h: how the server and its models are, for whoever probes by HTTP: the paths of KServe's REST protocol. */
#ifndef METRICS_PROBES_H
#define METRICS_PROBES_H

#include "http/http.h"

struct dispatch;
struct frontend;

/* Leaves the reply as it is where the path is none of theirs. */
void probes_get(struct dispatch *d, struct frontend *f, const char *path, struct http_reply *reply);

#endif
