/* page.c: page.html, which the build makes numbers of. */
#include "metrics/page.h"

static const unsigned char page[] = {
#include <metrics/page.inc>
};

void page_get(struct http_reply *reply)
{
	reply->status = 200;
	reply->type = "text/html; charset=utf-8";
	reply->text = (const char *)page;
	reply->n = sizeof(page);
}
