/* page.c: static pages for requests that are not gRPC. Daemon process, loop thread. */
#include "grpc/page.h"

#include <assert.h>

#define ABOUT                                                                                      \
	"This is modeld " MODELD_VERSION ", an inference server.\n"                                \
	"This port speaks gRPC over HTTP/2 (without TLS: prior knowledge).\n"                      \
	"Try: modelctl status, or any gRPC client.\n"

/* Long enough to tell a method and a space from noise. */
#define LOOK 8u

const char *page_text(unsigned status)
{
	assert(status == 405 || status == 415);
	if (status == 405)
		return ABOUT "gRPC calls are POST requests; this one was not.\n";
	return ABOUT "The content-type of a call is application/grpc; this request's was not.\n";
}

const char *page_for_http1(const uint8_t *data, size_t n)
{
	for (size_t i = 0; i < n && i < LOOK; i++) {
		if (data[i] < 0x20 || data[i] > 0x7e)
			return NULL;
	}
	return "HTTP/1.1 505 HTTP Version Not Supported\r\n"
	       "Content-Type: text/plain; charset=utf-8\r\n"
	       "Connection: close\r\n"
	       "\r\n" ABOUT;
}
