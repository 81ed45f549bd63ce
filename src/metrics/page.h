/* page.h: the status page: one file of HTML that shows /metrics as it moves. It asks for nothing else, and changes nothing. */
#ifndef METRICS_PAGE_H
#define METRICS_PAGE_H

#include "http/http.h"

void page_get(struct http_reply *reply);

#endif
