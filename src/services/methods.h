/*
 * methods.h: the kinds of methods that services have, as initializers of struct method for their tables. What is of
 * none of these kinds stands in its table in full.
 */
#ifndef SERVICES_METHODS_H
#define SERVICES_METHODS_H

#include "grpc/service.h"
#include "services/infer_stream.h"
#include "services/infer_unary.h"

/* One message of `most` bytes, answered at once. */
#define METHOD_SMALL(path_, most, function)                                                        \
	{                                                                                          \
		.path = (path_), .collect_max = (most), .message = (function)                      \
	}

/* One that may be answered later: it has a state. */
#define METHOD_WAITING(path_, most, state, function, function_close)                               \
	{                                                                                          \
		.path = (path_), .state_bytes = sizeof(state), .collect_max = (most),              \
		.message = (function), .close = (function_close)                                   \
	}

/* An inference. state: a struct infer_unary with what is opened behind it. */
#define METHOD_INFER(path_, state, function_open)                                                  \
	{                                                                                          \
		.path = (path_), .state_bytes = sizeof(state), .open = (function_open),            \
		.message_begin = infer_unary_message_begin,                                        \
		.message_data = infer_unary_message_data, .message_end = infer_unary_message_end,  \
		.close = infer_unary_close                                                         \
	}

/* Any number of them. */
#define METHOD_INFER_STREAM(path_, function_open)                                                  \
	{                                                                                          \
		.path = (path_), .client_streaming = true, .server_streaming = true,               \
		.state_bytes = sizeof(struct infer_stream), .open = (function_open),               \
		.message_begin = infer_stream_message_begin,                                       \
		.message_data = infer_stream_message_data,                                         \
		.message_end = infer_stream_message_end, .half_close = infer_stream_half_close,    \
		.writable = infer_stream_writable, .drain = infer_stream_drain,                    \
		.close = infer_stream_close                                                        \
	}

#endif
