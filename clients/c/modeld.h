/*
 * modeld.h: libmodeld, the C client of modeld for processes on the same host. Tensors are handed over
 * in shared memory: nothing is serialised and nothing is copied, whatever the size.
 *
 *     struct modeld *m;
 *     struct modeld_region *r;
 *     struct modeld_result *result;
 *     struct modeld_error e;
 *
 *     if (modeld_connect(&m, NULL, &e) || modeld_allocate(m, 1 << 20, &r, &e))
 *             errx(1, "%s", e.text);
 *     ... fill modeld_region_data(r) and a struct modeld_request that names it ...
 *     if (modeld_infer(m, &request, &result, &e))
 *             errx(1, "%s", e.text);
 *
 * Every function that can fail returns 0 or a code: 1 to 16, a gRPC status code, when the daemon
 * refused; one of enum modeld_error_code when it failed here. `error` (never NULL) then has the same
 * code and a sentence; ret_ pointers are written on success only. Errors of the daemon concern that
 * request alone.
 *
 * Once the connection is lost (the daemon ended, say) the calls that are open end MODELD_E_SYSTEM, and
 * the next function that needs the daemon connects anew, by itself. The memory that the old connection
 * had stays mapped, but the daemon knows nothing of it any more: a request that names it is
 * MODELD_E_STALE; release it, and make another.
 *
 * Every function returns within a time that its caller can say: modeld_options.timeout_us, the
 * timeout of the request, or that of modeld_wait().
 *
 * Threads: each function says who may call it.
 *     [connection]  one thread at a time for a connection and all that hangs from it (regions, calls,
 *                   results), whichever thread that is; different connections are independent
 *     [any]         any thread, beside whatever else is done with the connection, as long as nobody
 *                   frees the object meanwhile
 * Nothing is called back, no signal is touched (one that comes while a function waits is handled, and
 * the waiting goes on), no thread is started, no lock is held: a thread must not be cancelled inside.
 * After fork() the connection is the parent's; the child connects for itself, and may only leave the
 * parent's alone. This header needs nothing but C11 or C++11; link with `pkg-config --libs libmodeld`.
 * docs/c-client.md is the guide.
 */
#ifndef MODELD_H
#define MODELD_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The library hides all but these names. */
#pragma GCC visibility push(default)

#define MODELD_RANK_MAX	   16	/* dimensions of a tensor */
#define MODELD_TENSORS_MAX 1024 /* inputs of a request, and targets */

/* Element types; the numbers are those of the protocols. */
enum modeld_type {
	MODELD_BOOL = 1,
	MODELD_U8 = 2,
	MODELD_U16 = 3,
	MODELD_U32 = 4,
	MODELD_U64 = 5,
	MODELD_I8 = 6,
	MODELD_I16 = 7,
	MODELD_I32 = 8,
	MODELD_I64 = 9,
	MODELD_F16 = 10,
	MODELD_BF16 = 11,
	MODELD_F32 = 12,
	MODELD_F64 = 13,
	MODELD_BYTES = 14, /* each element: u32 little-endian length, then its bytes */
};

enum modeld_error_code {
	/* 1 to 16: the daemon's answer, a gRPC status code. */
	MODELD_E_SYSTEM = 100,	/* a system call failed, or the connection is lost */
	MODELD_E_TIMEOUT = 101, /* of modeld_options, of the request, or of modeld_wait() */
	MODELD_E_USAGE = 102,	/* the arguments make no sense; nothing was sent */
	MODELD_E_STALE =
		103, /* a region went with a connection that was lost; the model has not run */
};

struct modeld_error {
	int code;
	char text[1024];
};

struct modeld;
struct modeld_region;
struct modeld_call;
struct modeld_result;

/* Zero is the default of every field. */
struct modeld_options {
	/* The handoff socket: /path. NULL: $MODELD_HANDOFF, else handoff.sock beside a Unix socket of gRPC: `address`,
	 * else $MODELD_ADDRESS, else the first that answers of $XDG_RUNTIME_DIR/modeld/modeld.sock (without such
	 * a variable /tmp/modeld-UID/modeld.sock, while that directory is the user's alone) and /run/modeld/modeld.sock. */
	const char *handoff;
	/* With `grpc`: "unix:/path" or "host:port". NULL: $MODELD_ADDRESS, else unix:modeld.sock
	 * beside the handoff socket. */
	const char *address;
	/*
	 * For connecting (also anew), and for every question to the daemon but inference: allocate,
	 * register, release, limits; and for finding room to send. 0: 10 s. Allocating gets 4 s more
	 * for each GB, which is populated meanwhile. A daemon that does not answer in time costs the
	 * connection. A name that is being looked up when the time is over, with `grpc`, goes on being
	 * looked up by a thread that ends with it.
	 */
	uint64_t timeout_us;
	/* Spin so long for an answer before sleeping; UINT32_MAX: as the daemon does; 0: never. */
	uint32_t busy_poll_us;
	/* Not 0: requests go by gRPC (ModelWorkerService with TensorRef) instead of the handoff
	 * socket: one input and at most one target each. */
	int grpc;
};

/* [any] options: NULL for the defaults; not needed afterwards. Reads the environment, as getenv() does. */
int modeld_connect(struct modeld **ret_modeld, const struct modeld_options *options,
	struct modeld_error *error);
/* [connection] Open calls are dropped and must not be used any more, regions go too: their memory is
 * unmapped. Results stay until they are freed, but for what they have in regions. Does not wait.
 * Accepts NULL. */
void modeld_close(struct modeld *m);
/*
 * [connection] For poll(2): readable when an answer may be there, or the connection is lost. Another one
 * after the connection was made anew, -1 while that fails: ask before each poll(). Any function that
 * waits takes in the answers of other calls too: so ask each open call, modeld_wait(call, 0, ...), before
 * sleeping in poll().
 */
int modeld_descriptor(const struct modeld *m);

/* --- Memory -------------------------------------------------------------------------------------- */

/* [connection] Memory made by the daemon (populated, huge pages where the host has them), mapped read-write
 * here; whole pages: it may be a little larger. */
int modeld_allocate(struct modeld *m, uint64_t bytes, struct modeld_region **ret_region,
	struct modeld_error *error);
/*
 * [connection] The caller's own memfd, of `bytes` bytes, sealed F_SEAL_SHRINK|F_SEAL_GROW|F_SEAL_SEAL. It is
 * mapped here too: read-write, or, where its seals forbid writing, read-only, and then it can hold
 * inputs but no targets. The descriptor stays the caller's, who may close it.
 */
int modeld_register(struct modeld *m, int memfd, uint64_t bytes, struct modeld_region **ret_region,
	struct modeld_error *error);
/* Memory that the caller has on a GPU. */
struct modeld_device_memory {
	int fd; /* what it was exported to: cuMemExportToShareableHandle(), a POSIX descriptor */
	uint64_t bytes; /* of it, from its start; at most what cuMemCreate() was asked for */
	const char
		*gpu; /* "GPU-...", its UUID; or the number that modeld has it by ("0" is cuda:0) */
	void *data;   /* where the caller has it mapped: not NULL, and never looked at here */
	int read_only; /* not 0: it can hold inputs but no targets */
};
/*
 * [connection] Hand such memory over. A worker of that GPU tries it, which is waited for. modeld_region_data(), and `data` of results, are
 * addresses on the GPU; what was put into streams that writes inputs must be done before a request is sent. The descriptor stays the
 * caller's, who may close it, and free the memory, at any time: what a request uses of it stays until that has ended.
 */
int modeld_register_device(struct modeld *m, const struct modeld_device_memory *memory,
	struct modeld_region **ret_region, struct modeld_error *error);
/* [connection] Unmap it, and give it back to the daemon (which keeps it until nothing uses it). A call that
 * has a target in it and was not waited for yet ends MODELD_E_USAGE. Accepts NULL. */
void modeld_release(struct modeld_region *r);

/* [connection] Not 0 while a request that ended MODELD_E_TIMEOUT may still write here; until then no request
 * may use that part of it. Does not wait. */
int modeld_region_busy(struct modeld_region *r);

/* [any], these three. Bytes of a region are shared memory, between threads as between processes. */
void *modeld_region_data(const struct modeld_region *r);
uint64_t modeld_region_bytes(const struct modeld_region *r);
/* The token, hex: what TensorRef.region_id takes from anybody's gRPC client. */
const char *modeld_region_id(const struct modeld_region *r);

/* --- Inference ------------------------------------------------------------------------------------ */

/* A tensor in a region, in or out. */
struct modeld_tensor {
	const char *name; /* NULL: the model's first; in results "" by gRPC */
	enum modeld_type type;
	uint32_t rank;
	int64_t dims[MODELD_RANK_MAX];
	struct modeld_region *region; /* NULL in results: `data` is the result's own memory */
	uint64_t offset;
	uint64_t bytes; /* what type and dims ask for; for MODELD_BYTES as many as there are */
	const void *
		data; /* in results: where it is, aligned to 16 when inline; not used in requests */
};

/* Where an output is to be written. */
struct modeld_target {
	const char *name; /* NULL: the first output */
	struct modeld_region *region;
	uint64_t offset;
	uint64_t bytes; /* room */
};

struct modeld_request {
	const char *model;		    /* NULL: the daemon's default model */
	const struct modeld_tensor *inputs; /* their memory must not change before the answer */
	size_t n_inputs;
	/* Outputs without a target come back inline, up to the daemon's limit (max_inline_bytes). */
	const struct modeld_target *targets;
	size_t n_targets;
	uint64_t timeout_us; /* kept by the daemon: DEADLINE_EXCEEDED, code 4; 0: none */
	/* Not 0: outputs that have no target, or are larger than it, and too large to come inline, are put into a
	 * region that the daemon makes (modeld_result_region()). 0: FAILED_PRECONDITION, code 9. Not by gRPC. */
	int make_room;
	/* W3C Trace Context: what the request is part of, in what modeld and the model tell of it elsewhere. NULL: of nothing. A
	 * malformed one is MODELD_E_USAGE; of tracestate the daemon keeps 512 bytes. */
	const char *traceparent, *tracestate;
};

/*
 * [connection] Send and wait. The result must be freed. The daemon keeps the timeout; where it does not
 * answer within 100 ms more (a model goes on for longer than it should, the daemon stands still) this is
 * MODELD_E_TIMEOUT, and the request's targets may be written until modeld_region_busy() says no more. With
 * no timeout: for as long as the daemon is there.
 */
int modeld_infer(struct modeld *m, const struct modeld_request *request,
	struct modeld_result **ret_result, struct modeld_error *error);

/*
 * [connection] Send only: many calls may be open, up to the daemon's limit (max_requests), and their answers come in
 * any order. Nothing of `request` is needed afterwards but its regions.
 */
int modeld_submit(struct modeld *m, const struct modeld_request *request,
	struct modeld_call **ret_call, struct modeld_error *error);
/*
 * [connection] Wait for one call's end, at most timeout_us (0: do not wait; UINT64_MAX: for ever). On
 * MODELD_E_TIMEOUT the call stays open; otherwise it is over and freed, the result is the caller's. By gRPC calls that the
 * daemon has refused are sent again here, for which connecting anew may take modeld_options.timeout_us more.
 */
int modeld_wait(struct modeld_call *call, uint64_t timeout_us, struct modeld_result **ret_result,
	struct modeld_error *error);
/*
 * [connection] The answer is not wanted any more. Returns, and frees the call, when the daemon has done with
 * its regions: at once for a request that was still queued, at its end for one that runs; by gRPC, which
 * cannot tell, at its end. A daemon that answers nothing meanwhile costs the connection, after
 * modeld_options.timeout_us or twice as long. Accepts NULL.
 */
void modeld_cancel(struct modeld_call *call);

/* [any], these four, of a result. */
size_t modeld_result_n(const struct modeld_result *r);
/* Valid until modeld_result_free(), its data in a region as long as the region. NULL past the last.
 * Whatever a tensor says was checked (it is inside its region, of the size that its shape asks for);
 * the lengths inside of MODELD_BYTES in a region were not. */
const struct modeld_tensor *modeld_result_output(const struct modeld_result *r, size_t i);
/* By name; NULL when it is not there. */
const struct modeld_tensor *modeld_result_find(const struct modeld_result *r, const char *name);
/* Nanoseconds in the daemon: waiting, running, in all. */
void modeld_result_times(const struct modeld_result *r, uint64_t *ret_queue_ns,
	uint64_t *ret_compute_ns, uint64_t *ret_total_ns);
/*
 * [connection] The region that was made for outputs (make_room): the caller's from then on, to hold other tensors, or for
 * modeld_release(). NULL: none was, or it was taken already. What is not taken is released with the result.
 */
struct modeld_region *modeld_result_region(struct modeld_result *r);
/* [connection]; [any] after modeld_close(). Accepts NULL. */
void modeld_result_free(struct modeld_result *r);

/* What the daemon grants. */
struct modeld_limits {
	uint64_t total_bytes, total_used_bytes;
	uint64_t user_bytes, user_used_bytes;
	uint32_t user_regions, user_used_regions;
	uint64_t max_inline_bytes;
	uint32_t max_requests;
	uint32_t busy_poll_us;
	uint64_t user_device_bytes, user_device_used_bytes; /* on GPUs; 0: none is taken */
};
/* [connection] */
int modeld_get_limits(
	struct modeld *m, struct modeld_limits *ret_limits, struct modeld_error *error);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
