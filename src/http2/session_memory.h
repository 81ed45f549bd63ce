/*
 * session_memory.h: where nghttp2 gets its memory: from the transport's free lists, since each request
 * takes and gives some eight pieces, which come back in another order than malloc()'s caches like. What
 * lives as long as its connection, and whatever is large, comes from malloc().
 */
#ifndef HTTP2_SESSION_MEMORY_H
#define HTTP2_SESSION_MEMORY_H

#include <nghttp2/nghttp2.h>

#include "http2/blocks.h"

/* For nghttp2_session_server_new3(), which copies it. blocks outlives the session. */
nghttp2_mem session_memory(struct blocks *blocks);

#endif
