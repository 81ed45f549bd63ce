/*
 * fake_grpc.c: a gRPC server for tests of clients: nghttp2 over blocking sockets, a thread for each connection.
 *
 *     /t/echo        the request message
 *     /t/none        OK without a message
 *     /t/error       FAILED_PRECONDITION "no luck, sorry"
 *     /t/huge        a message of FAKE_HUGE_BYTES
 *     /t/never       no answer, ever
 *     /t/reset       RST_STREAM(ENHANCE_YOUR_CALM); /t/refuse REFUSED_STREAM
 *     /t/early       PERMISSION_DENIED at once; the request's window is never opened
 *     /t/stall       nothing is ever read of the request
 *     /t/goaway      the echo, behind a GOAWAY; /t/goaway0: a GOAWAY that disowns the call
 *     /t/bye         the echo, then a GOAWAY and the end of the connection
 *     /t/begun       headers, then REFUSED_STREAM
 *     /t/close       the end of the connection
 *     /t/garbage     bytes that are no HTTP/2
 *     /t/compressed  a compressed message; /t/flag a malformed one; /t/cut half of one
 *     /t/404         HTTP status 404; /t/status grpc-status "x"
 *     /t/nostatus    the echo without trailers
 *
 * Infer: model "" answers with a TensorRef of the output region, or inline when none is named; "ref",
 * "other", "rank", "dtype", "size", "nothing", "garbage", "error", "twice", "never" differ in that.
 * "bye" answers and ends the connection as /t/bye does. Calls that are refused: "refuse" and "goaway0", each time; "refuse1" and
 * "goaway1", the first time. "going": no more calls are taken on the connection; answered when "release" was asked for
 * elsewhere. "unknown": NOT_FOUND.
 */
#include "fake_grpc.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/grpc_frame.h"
#include "proto/model_worker.pb-c.h"

#define INFER "/remotemedia.model_registry.v1.ModelWorkerService/Infer"

typedef Remotemedia__ModelRegistry__V1__InferRequest InferRequest;
typedef Remotemedia__ModelRegistry__V1__InferResponse InferResponse;
typedef Remotemedia__ModelRegistry__V1__TensorRef TensorRef;
typedef Remotemedia__ModelRegistry__V1__TensorData TensorData;
typedef Remotemedia__ModelRegistry__V1__InferResponse__MetadataEntry Metadata;

struct stream {
	int32_t id;
	char path[128];
	char trace[128];   /* its trace context */
	uint8_t *in, *out; /* own */
	size_t n_in, n_out, at;
	const char *status; /* of the trailers; NULL: none are sent */
	const char *message;
};

struct server {
	int fd;
	nghttp2_session *session;
	bool stop;
	bool bye;	     /* once what is to be sent is sent */
	struct stream *held; /* borrow; NULL: none */
};

static atomic_uint n_refused;
static int release; /* eventfd */

static nghttp2_nv header(const char *name, const char *value)
{
	return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value),
		NGHTTP2_NV_FLAG_NONE};
}

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *out, size_t cap,
	uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct stream *s = source->ptr;
	size_t n = s->n_out - s->at < cap ? s->n_out - s->at : cap;
	nghttp2_nv trailers[2];

	if (n > 0)
		memcpy(out, s->out + s->at, n);
	s->at += n;
	if (s->at < s->n_out)
		return (ssize_t)n;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (s->status) {
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		trailers[0] = header("grpc-status", s->status);
		trailers[1] = header("grpc-message", s->message ? s->message : "");
		assert(!nghttp2_submit_trailer(session, id, trailers, 2));
	}
	return (ssize_t)n;
}

static void respond(struct server *v, struct stream *s, const char *http)
{
	const nghttp2_nv headers[] = {
		header(":status", http), header("content-type", "application/grpc")};
	const nghttp2_data_provider body = {.source.ptr = s, .read_callback = read_body};

	assert(!nghttp2_submit_response(v->session, s->id, headers, 2, &body));
}

/* One message behind what is there. */
static void put_message(struct stream *s, const void *data, size_t n, bool compressed)
{
	s->out = realloc(s->out, s->n_out + n + GRPC_PREFIX_SIZE);
	assert(s->out);
	grpc_frame_prefix(s->out + s->n_out, compressed, (uint32_t)n);
	if (n > 0)
		memcpy(s->out + s->n_out + GRPC_PREFIX_SIZE, data, n);
	s->n_out += n + GRPC_PREFIX_SIZE;
}

static void echo(struct server *v, struct stream *s)
{
	s->out = realloc(s->out, s->n_in);
	memcpy(s->out, s->in, s->n_in);
	s->n_out = s->n_in;
	respond(v, s, "200");
}

/* --- ModelWorkerService ------------------------------------------------------------------------- */

static const char *parameter(const InferRequest *q, const char *key)
{
	for (size_t i = 0; i < q->n_parameters; i++) {
		if (!strcmp(q->parameters[i]->key, key))
			return q->parameters[i]->value;
	}
	return NULL;
}

static void put_response(struct stream *s, const InferResponse *r)
{
	size_t n = remotemedia__model_registry__v1__infer_response__get_packed_size(r);
	uint8_t *packed = malloc(n + 1);

	remotemedia__model_registry__v1__infer_response__pack(r, packed);
	put_message(s, packed, n, false);
	free(packed);
}

static void fill_ref(TensorRef *ref, const InferRequest *q)
{
	const char *model = q->model_id;

	*ref = *q->tensor_ref;
	ref->region_id = (char *)parameter(q, "output_region");
	if (!ref->region_id)
		ref->region_id = q->tensor_ref->region_id;
	if (parameter(q, "output_offset"))
		ref->offset = strtoull(parameter(q, "output_offset"), NULL, 10);
	if (!strcmp(model, "other"))
		ref->region_id = (char *)"00";
	if (!strcmp(model, "size"))
		ref->size++;
	if (!strcmp(model, "dtype"))
		ref->dtype = (char *)"f99";
	if (!strcmp(model, "offset"))
		ref->offset++;
}

static void answer_infer(struct stream *s, const InferRequest *q)
{
	static uint8_t eight[8] = {0, 0, 0x80, 0x3f}; /* 1.0f, 0.0f */
	static int32_t shape[20] = {2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
	InferResponse r = REMOTEMEDIA__MODEL_REGISTRY__V1__INFER_RESPONSE__INIT;
	TensorRef ref = REMOTEMEDIA__MODEL_REGISTRY__V1__TENSOR_REF__INIT;
	TensorData data = REMOTEMEDIA__MODEL_REGISTRY__V1__TENSOR_DATA__INIT;
	Metadata queue = REMOTEMEDIA__MODEL_REGISTRY__V1__INFER_RESPONSE__METADATA_ENTRY__INIT;
	Metadata *list = &queue;

	queue.key = (char *)"queue_us";
	queue.value = (char *)"3";
	r.n_metadata = 1;
	r.metadata = &list;
	if (parameter(q, "output_region") || !strcmp(q->model_id, "ref")) {
		fill_ref(&ref, q);
		r.output_case = REMOTEMEDIA__MODEL_REGISTRY__V1__INFER_RESPONSE__OUTPUT_TENSOR_REF;
		r.tensor_ref = &ref;
	} else if (strcmp(q->model_id, "nothing") != 0) {
		data.dtype = (char *)"f32";
		data.shape = shape;
		data.n_shape = strcmp(q->model_id, "rank") ? 1 : 17;
		data.data.data = eight;
		data.data.len = sizeof(eight);
		r.output_case = REMOTEMEDIA__MODEL_REGISTRY__V1__INFER_RESPONSE__OUTPUT_TENSOR_DATA;
		r.tensor_data = &data;
	}
	put_response(s, &r);
	if (!strcmp(q->model_id, "twice"))
		put_response(s, &r);
}

static void goaway(struct server *v, int32_t last)
{
	assert(!nghttp2_submit_goaway(v->session, 0, last, NGHTTP2_NO_ERROR, NULL, 0));
}

static bool send_all(struct server *v);

static void refuse(struct server *v, const struct stream *s)
{
	assert(!nghttp2_submit_rst_stream(v->session, 0, s->id, NGHTTP2_REFUSED_STREAM));
}

/* Does the model say that the call is refused? */
static bool refuses(struct server *v, const struct stream *s, const char *model)
{
	bool by_goaway = !strncmp(model, "goaway", 6);

	if (!by_goaway && strncmp(model, "refuse", 6) != 0)
		return false;
	if (model[6] == '1' && atomic_fetch_add(&n_refused, 1) > 0)
		return false;
	if (by_goaway)
		goaway(v, 0);
	else
		refuse(v, s);
	return true;
}

/* What concerns more than the answer. */
static void be_going(struct server *v, struct stream *s, const char *model)
{
	if (!strcmp(model, "bye"))
		goaway(v, s->id), v->bye = true;
	if (!strcmp(model, "release"))
		assert(!eventfd_write(release, 1));
	/* What the client has sent until it hears of it is served, which nghttp2 does not do behind another GOAWAY. */
	if (!strcmp(model, "going")) {
		assert(!nghttp2_submit_shutdown_notice(v->session));
		v->held = s;
	}
}

static void infer(struct server *v, struct stream *s)
{
	InferRequest *q = remotemedia__model_registry__v1__infer_request__unpack(
		NULL, s->n_in - GRPC_PREFIX_SIZE, s->in + GRPC_PREFIX_SIZE);

	assert(q && q->tensor_ref);
	be_going(v, s, q->model_id);
	if (!strcmp(q->model_id, "error") || !strcmp(q->model_id, "unknown")) {
		s->status = "5";
		s->message = "no such model";
	} else if (!strcmp(q->model_id, "garbage")) {
		put_message(s, "\xff\xff", 2, false);
	} else {
		answer_infer(s, q);
	}
	if (!strcmp(q->model_id, "die"))
		_exit(0);
	if (strcmp(q->model_id, "never") != 0 && v->held != s && !refuses(v, s, q->model_id))
		respond(v, s, "200");
	remotemedia__model_registry__v1__infer_request__free_unpacked(q, NULL);
}

/* --- Calls -------------------------------------------------------------------------------------- */

static bool is(const struct stream *s, const char *name)
{
	return !strncmp(s->path, "/t/", 3) && !strcmp(s->path + 3, name);
}

static void huge(struct server *v, struct stream *s)
{
	uint8_t *data = calloc(1, FAKE_HUGE_BYTES);

	put_message(s, data, FAKE_HUGE_BYTES, false);
	free(data);
	respond(v, s, "200");
}

/* A call whose answer is a few bytes. */
static bool answer_oddly(struct server *v, struct stream *s)
{
	if (is(s, "none"))
		respond(v, s, "200");
	else if (is(s, "error"))
		s->status = "9", s->message = "no luck%2C sorry", respond(v, s, "200");
	else if (is(s, "compressed"))
		put_message(s, "abc", 3, true), respond(v, s, "200");
	else if (is(s, "flag"))
		put_message(s, "abc", 3, false), s->out[0] = 7, respond(v, s, "200");
	else if (is(s, "cut"))
		put_message(s, "abc", 3, false), s->n_out--, respond(v, s, "200");
	else if (is(s, "404"))
		s->status = NULL, respond(v, s, "404");
	else if (is(s, "status"))
		s->status = "x", respond(v, s, "200");
	else if (is(s, "nostatus"))
		s->status = NULL, echo(v, s);
	else
		return false;
	return true;
}

/* The request is complete. */
static void answer(struct server *v, struct stream *s)
{
	if (answer_oddly(v, s))
		return;
	if (!strcmp(s->path, INFER))
		infer(v, s);
	else if (is(s, "trace"))
		s->status = "9", s->message = s->trace, echo(v, s);
	else if (is(s, "huge"))
		huge(v, s);
	else if (is(s, "reset"))
		assert(!nghttp2_submit_rst_stream(v->session, 0, s->id, NGHTTP2_ENHANCE_YOUR_CALM));
	else if (is(s, "refuse"))
		refuse(v, s);
	else if (is(s, "begun"))
		respond(v, s, "200"), assert(send_all(v)), refuse(v, s);
	else if (is(s, "bye"))
		goaway(v, s->id), v->bye = true, echo(v, s);
	else if (is(s, "goaway"))
		goaway(v, s->id), echo(v, s);
	else if (is(s, "goaway0"))
		goaway(v, 0);
	else if (is(s, "close"))
		v->stop = true;
	else if (is(s, "garbage"))
		(void)!send(v->fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28, MSG_NOSIGNAL);
	else if (!is(s, "never") && !is(s, "early"))
		echo(v, s);
}

static int on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct stream *s = calloc(1, sizeof(*s));

	s->id = frame->hd.stream_id;
	s->status = "0";
	return nghttp2_session_set_stream_user_data(session, s->id, s);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
	size_t n_name, const uint8_t *value, size_t n_value, uint8_t flags, void *user)
{
	struct stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	if (n_name == 5 && !memcmp(name, ":path", 5))
		(void)snprintf(s->path, sizeof(s->path), "%.*s", (int)n_value, value);
	else if (n_name >= 10 && !memcmp(name, "trace", 5))
		(void)snprintf(s->trace + strlen(s->trace), sizeof(s->trace) - strlen(s->trace),
			"%s%.*s", s->trace[0] ? " " : "", (int)n_value, value);
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
	size_t n, void *user)
{
	struct stream *s = nghttp2_session_get_stream_user_data(session, id);

	s->in = realloc(s->in, s->n_in + n);
	memcpy(s->in + s->n_in, data, n);
	s->n_in += n;
	if (!is(s, "early") && !is(s, "stall"))
		assert(!nghttp2_session_consume(session, id, n));
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	if (s && frame->hd.type == NGHTTP2_HEADERS && is(s, "early")) {
		s->status = "7";
		respond(user, s, "200");
	}
	if (s && frame->hd.flags & NGHTTP2_FLAG_END_STREAM &&
		(frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS))
		answer(user, s);
	return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
	struct stream *s = nghttp2_session_get_stream_user_data(session, id);

	if (s) {
		free(s->in);
		free(s->out);
		free(s);
	}
	return 0;
}

static void session_new(struct server *v)
{
	nghttp2_session_callbacks *callbacks;
	nghttp2_option *option;

	assert(!nghttp2_session_callbacks_new(&callbacks) && !nghttp2_option_new(&option));
	nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
	assert(!nghttp2_session_server_new2(&v->session, callbacks, v, option));
	assert(!nghttp2_submit_settings(v->session, 0, NULL, 0));
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(callbacks);
}

static bool send_all(struct server *v)
{
	const uint8_t *data;
	ssize_t n;

	while ((n = nghttp2_session_mem_send(v->session, &data)) > 0) {
		while (n > 0) {
			ssize_t sent = send(v->fd, data, (size_t)n, MSG_NOSIGNAL);

			if (sent <= 0)
				return false;
			data += sent;
			n -= sent;
		}
	}
	return n == 0;
}

/* False: what is held was answered. */
static bool wait_for_more(struct server *v)
{
	struct pollfd p[] = {{v->fd, POLLIN, 0}, {v->held ? release : -1, POLLIN, 0}};

	assert(poll(p, 2, -1) > 0);
	if (!p[1].revents)
		return true;
	respond(v, v->held, "200");
	v->held = NULL;
	return false;
}

static void *serve(void *arg)
{
	uint8_t input[65536];
	int fd = (int)(intptr_t)arg;
	struct server v = {.fd = fd};
	ssize_t n = 0;

	session_new(&v);
	while (!v.stop && send_all(&v) && !v.bye &&
		(nghttp2_session_want_read(v.session) || nghttp2_session_want_write(v.session))) {
		if (!wait_for_more(&v))
			continue;
		n = recv(fd, input, sizeof(input), 0);
		if (n <= 0 || nghttp2_session_mem_recv(v.session, input, (size_t)n) < 0)
			break;
	}
	nghttp2_session_del(v.session);
	close(fd);
	return NULL;
}

static void serve_beside(int fd)
{
	pthread_t thread;

	assert(fd >= 0 && !pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd));
	assert(!pthread_detach(thread));
}

static int listen_unix(struct fake_grpc *f)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/modeld-test-XXXXXX");
	assert(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s/modeld.sock", f->dir);
	(void)snprintf(f->address, sizeof(f->address), "unix:%s", f->path);
	memcpy(at.sun_path, f->path, strlen(f->path) + 1);
	assert(bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
	return fd;
}

static int listen_tcp(struct fake_grpc *f)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert(bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
	assert(getsockname(fd, (struct sockaddr *)&at, &n) == 0);
	(void)snprintf(f->address, sizeof(f->address), "127.0.0.1:%d", ntohs(at.sin_port));
	return fd;
}

void fake_grpc_start(struct fake_grpc *f, int tcp)
{
	pid_t test = getpid();
	int listener;

	*f = (struct fake_grpc){0};
	listener = tcp ? listen_tcp(f) : listen_unix(f);
	assert(listen(listener, 8) == 0);
	f->pid = fork();
	assert(f->pid >= 0);
	if (f->pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* The test may have ended before. */
		if (getppid() != test)
			_exit(1);
		release = eventfd(0, EFD_CLOEXEC);
		assert(release >= 0);
		for (;;)
			serve_beside(accept(listener, NULL, NULL));
	}
	close(listener);
}

void fake_grpc_stop(struct fake_grpc *f)
{
	if (f->pid <= 0)
		return;
	(void)kill(f->pid, SIGKILL);
	assert(waitpid(f->pid, NULL, 0) == f->pid);
	if (*f->dir) {
		(void)unlink(f->path);
		(void)rmdir(f->dir);
	}
	f->pid = 0;
}
