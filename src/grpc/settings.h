/* settings.h: limits of RPCs. Each has a name in modeld.conf. */
#ifndef GRPC_SETTINGS_H
#define GRPC_SETTINGS_H

#include <stdint.h>

struct grpc_settings {
	uint64_t max_receive_message_bytes;
	const char *compression; /* of replies: "none", "gzip", "deflate" */
	uint32_t compression_min_bytes;
	uint32_t
		compression_max_bytes; /* of a message, and of those that are being compressed together */
};

#endif
