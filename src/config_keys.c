/*
 * config_keys.c: every configuration key: section, name, type, field, default, bounds. The order is
 * that of `modeld --check`. conf/modeld.conf explains each.
 */
#include "config_private.h"

#define AT(field) offsetof(struct config, field)
#define KIB	  UINT64_C(1024)
#define MIB	  (KIB * 1024)
#define GIB	  (MIB * 1024)
#define DAY_MS	  (UINT64_C(24) * 3600 * 1000)

const struct config_key config_keys[] = {
	{"server", "listen", CONFIG_LIST, AT(frontend.listen), "0.0.0.0:50052, unix:modeld.sock", 1,
		64},
	{"server", "unix_mode", CONFIG_MODE, AT(frontend.unix_mode), "0660", 0, 0777},
	{"server", "unix_group", CONFIG_STRING, AT(frontend.unix_group), "", 0, 255},
	{"server", "runtime_dir", CONFIG_STRING, AT(runtime_dir), "auto", 1, 255},
	{"server", "log_level", CONFIG_LEVEL, AT(log_level), "info", 0, 0},
	{"server", "drain_timeout_s", CONFIG_SECONDS, AT(drain_timeout_ms), "30", 0, 86400},
	{"server", "busy_poll_us", CONFIG_U32, AT(pool.busy_poll_us), "0", 0, 10000},
	{"server", "strict_readiness", CONFIG_BOOL, AT(frontend.strict_readiness), "yes", 0, 0},

	{"models", "repository", CONFIG_STRING, AT(model_repository), "models", 1, 4095},
	{"models", "serve", CONFIG_LIST, AT(models), "*", 1, 4096},
	{"models", "default", CONFIG_STRING, AT(dispatch.default_model), "", 0, 255},

	{"model", "max_batch_size", CONFIG_U32, AT(model.max_batch_size), "8", 0, 65536},
	{"model", "max_queue_delay_us", CONFIG_U64, AT(model.max_queue_delay_us), "0", 0, 10000000},
	{"model", "max_queue_size", CONFIG_U32, AT(model.max_queue_size), "1024", 1, 1000000},
	{"model", "run_timeout_ms", CONFIG_U64, AT(model.run_timeout_ms), "60000", 1, DAY_MS},

	{"dispatch", "retry_wait_ms", CONFIG_U64, AT(dispatch.retry_wait_ms), "10000", 0, DAY_MS},
	{"dispatch", "max_requests_per_client", CONFIG_U32, AT(dispatch.max_requests_per_client),
		"1024", 1, 1000000},

	{"memory", "input_arena_bytes", CONFIG_BYTES64, AT(dispatch.arena.size), "1G", MIB,
		UINT64_C(1) << 46},
	{"memory", "input_populate_bytes", CONFIG_BYTES64, AT(dispatch.arena.populate_first), "8M",
		0, UINT64_C(1) << 46},
	{"memory", "input_populate_ahead_bytes", CONFIG_BYTES64, AT(dispatch.arena.populate_ahead),
		"64M", 0, UINT64_C(1) << 46},
	{"memory", "huge_pages", CONFIG_BOOL, AT(dispatch.arena.pages), "yes", 0, 0},

	{"worker", "workers", CONFIG_PLACES, 0, "cpu:0", 1, 256},
	{"worker", "program", CONFIG_STRING, AT(pool.worker_program), "auto", 1, 4095},
	{"worker", "backend_dirs", CONFIG_LIST, AT(pool.backend_dirs), "auto", 1, 16},
	{"worker", "slots", CONFIG_U32, AT(pool.slots), "128", 1, 1024},
	{"worker", "pipeline_us", CONFIG_U64, AT(dispatch.pipeline_us), "1000", 0, 1000000},
	{"worker", "output_arena_bytes", CONFIG_BYTES64, AT(pool.output_arena_bytes), "1G", MIB,
		UINT64_C(1) << 46},
	{"worker", "output_populate_bytes", CONFIG_BYTES64, AT(pool.output_populate_bytes), "4M", 0,
		UINT64_C(1) << 46},
	{"worker", "start_timeout_ms", CONFIG_U64, AT(pool.start_timeout_ms), "30000", 1, DAY_MS},
	{"worker", "load_timeout_ms", CONFIG_U64, AT(pool.load_timeout_ms), "600000", 0, DAY_MS},
	{"worker", "heartbeat_interval_ms", CONFIG_U64, AT(pool.heartbeat_interval_ms), "5000", 10,
		DAY_MS},
	{"worker", "heartbeat_timeout_ms", CONFIG_U64, AT(pool.heartbeat_timeout_ms), "10000", 10,
		DAY_MS},
	{"worker", "drain_timeout_ms", CONFIG_U64, AT(pool.drain_timeout_ms), "10000", 1, DAY_MS},
	{"worker", "backoff_max_ms", CONFIG_U64, AT(pool.backoff_max_ms), "60000", 1, DAY_MS},
	{"worker", "breaker_crashes", CONFIG_U32, AT(pool.breaker_crashes), "5", 1, 10000},
	{"worker", "breaker_window_ms", CONFIG_U64, AT(pool.breaker_window_ms), "60000", 1, DAY_MS},
	{"worker", "breaker_cooldown_ms", CONFIG_U64, AT(pool.breaker_cooldown_ms), "60000", 1,
		DAY_MS},

	{"handoff", "socket", CONFIG_STRING, AT(handoff.socket), "handoff.sock", 0, 107},
	{"handoff", "unix_mode", CONFIG_MODE, AT(handoff.unix_mode), "0660", 0, 0777},
	{"handoff", "unix_group", CONFIG_STRING, AT(handoff.unix_group), "", 0, 255},
	{"handoff", "max_connections", CONFIG_U32, AT(handoff.max_connections), "1024", 1, 1000000},
	{"handoff", "shm_total_bytes", CONFIG_BYTES64, AT(handoff.shm_total_bytes), "10G", 0,
		UINT64_C(1) << 46},
	{"handoff", "user_bytes", CONFIG_BYTES64, AT(handoff.user_bytes), "10G", 0,
		UINT64_C(1) << 46},
	{"handoff", "user_regions", CONFIG_U32, AT(handoff.user_regions), "1024", 0, 1000000},
	{"handoff", "max_requests", CONFIG_U32, AT(handoff.max_requests), "64", 1, 100000},
	{"handoff", "max_output_bytes", CONFIG_BYTES64, AT(handoff.max_output_bytes), "8M",
		256 * KIB, GIB},

	{"limits", "max_connections", CONFIG_U32, AT(frontend.max_connections), "16384", 1,
		1000000},
	{"limits", "max_concurrent_streams", CONFIG_U32, AT(frontend.max_concurrent_streams),
		"1024", 1, 1000000},
	{"limits", "max_receive_message_bytes", CONFIG_BYTES64,
		AT(frontend.max_receive_message_bytes), "1G", KIB, 4 * GIB - 1},
	{"limits", "max_request_metadata_bytes", CONFIG_BYTES32,
		AT(frontend.max_request_metadata_bytes), "64K", KIB, 64 * MIB},
	{"limits", "max_header_bytes", CONFIG_BYTES32, AT(frontend.max_header_bytes), "16K", KIB,
		16 * MIB},
	{"limits", "max_stream_requests", CONFIG_U32, AT(frontend.max_stream_requests), "64", 1,
		100000},
	{"limits", "max_output_bytes", CONFIG_BYTES64, AT(frontend.max_output_bytes), "4M",
		64 * KIB, GIB},
	{"limits", "arena_wait_ms", CONFIG_U64, AT(frontend.arena_wait_ms), "5000", 0, DAY_MS},
	{"limits", "receive_timeout_ms", CONFIG_U64, AT(frontend.receive_timeout_ms), "30000", 1,
		DAY_MS},
	{"limits", "send_timeout_ms", CONFIG_U64, AT(frontend.send_timeout_ms), "30000", 1, DAY_MS},
	{"limits", "reset_burst", CONFIG_U32, AT(frontend.reset_burst), "10000", 1, 1000000},
	{"limits", "reset_rate", CONFIG_U32, AT(frontend.reset_rate), "1000", 1, 1000000},

	{"http2", "stream_window_bytes", CONFIG_BYTES32, AT(frontend.stream_window_bytes), "4M",
		65535, INT32_MAX},
	{"http2", "connection_window_bytes", CONFIG_BYTES32, AT(frontend.connection_window_bytes),
		"64M", 65535, INT32_MAX},
	{"http2", "max_frame_bytes", CONFIG_BYTES32, AT(frontend.max_frame_bytes), "64K", 16384,
		(1u << 24) - 1},
	{"http2", "handshake_timeout_ms", CONFIG_U64, AT(frontend.handshake_timeout_ms), "10000", 1,
		DAY_MS},
	{"http2", "idle_timeout_ms", CONFIG_U64, AT(frontend.idle_timeout_ms), "0", 0, DAY_MS},
	{"http2", "max_age_ms", CONFIG_U64, AT(frontend.max_age_ms), "0", 0, 365 * DAY_MS},
	{"http2", "max_age_grace_ms", CONFIG_U64, AT(frontend.max_age_grace_ms), "60000", 0,
		DAY_MS},
	{"http2", "keepalive_interval_ms", CONFIG_U64, AT(frontend.keepalive_interval_ms),
		"7200000", 1000, DAY_MS},
	{"http2", "keepalive_timeout_ms", CONFIG_U64, AT(frontend.keepalive_timeout_ms), "20000",
		100, DAY_MS},
	{"http2", "min_ping_interval_ms", CONFIG_U64, AT(frontend.min_ping_interval_ms), "10000", 0,
		DAY_MS},
	{"http2", "max_ping_strikes", CONFIG_U32, AT(frontend.max_ping_strikes), "2", 0, 1000},

	{"compression", "algorithm", CONFIG_CODEC, AT(frontend.compression), "none", 0, 0},
	{"compression", "min_bytes", CONFIG_BYTES32, AT(frontend.compression_min_bytes), "1K", 0,
		GIB},
};

const size_t config_n_keys = sizeof(config_keys) / sizeof(config_keys[0]);
