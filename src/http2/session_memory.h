/*
 * session_memory.h: where nghttp2 gets its memory: malloc() and free() of ours, so that whoever replaces
 * them (tests that let them fail) replaces nghttp2's, too.
 */
#ifndef HTTP2_SESSION_MEMORY_H
#define HTTP2_SESSION_MEMORY_H

#include <nghttp2/nghttp2.h>

/* For nghttp2_session_server_new3(), which copies it. */
extern nghttp2_mem session_memory;

#endif
