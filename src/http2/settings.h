/* settings.h: limits of HTTP/2 connections. Each has a name in modeld.conf; 0 means "none" only where
 * said. */
#ifndef HTTP2_SETTINGS_H
#define HTTP2_SETTINGS_H

#include <stdint.h>

struct given_sockets;

struct http2_settings {
	struct given_sockets *given; /* borrow: sockets that listen already; NULL: none */
	uint32_t max_connections;
	uint32_t max_concurrent_streams; /* a connection */
	uint32_t stream_window_bytes;
	uint32_t connection_window_bytes;
	uint32_t max_frame_bytes;      /* SETTINGS_MAX_FRAME_SIZE offered */
	uint32_t max_header_bytes;     /* of a request's header list, RFC 9113 6.5.2 counting */
	uint64_t receive_timeout_ms;   /* a stream that owes bytes may be silent for so long */
	uint64_t min_receive_rate;     /* of a message after that, bytes a second; 0: none */
	uint64_t send_timeout_ms;      /* queued output may make no progress for so long */
	uint64_t handshake_timeout_ms; /* until preface and SETTINGS came */
	uint64_t idle_timeout_ms;      /* connection without streams; 0: none */
	uint64_t max_age_ms;	       /* +-10 % jitter; 0: none */
	uint64_t max_age_grace_ms;
	uint64_t keepalive_interval_ms;
	uint64_t keepalive_timeout_ms;
	uint64_t min_ping_interval_ms; /* clients that ping faster get strikes */
	uint32_t max_ping_strikes;     /* 0: no limit */
	uint32_t reset_burst;	       /* RST_STREAM allowed at once ... */
	uint32_t reset_rate;	       /* ... and a second */
	uint64_t
		max_held_bytes; /* request bytes that wait or are incomplete here, of all connections */
	uint64_t max_output_bytes; /* queued for one connection before replies wait */
};

#endif
