/*
 * responder.c: the floor that modeld is measured against: libuv and nghttp2, and nothing else. It
 * takes any request, throws the body away and answers every one with the same gRPC message. No
 * path, no protobuf, no worker, no deadline.
 *
 *   responder PORT [REPLY_BYTES]
 */
#include <netinet/in.h>
#include <nghttp2/nghttp2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define READ_BYTES (256u * 1024u)
#define WINDOW	   (16 * 1024 * 1024)

struct responder {
	uv_loop_t loop;
	uv_tcp_t listener;
	uint8_t input[READ_BYTES];
	uint8_t *reply; /* with its gRPC prefix */
	size_t n_reply;
};

struct conn {
	uv_tcp_t tcp;
	struct responder *responder;
	nghttp2_session *session;
	uint8_t *output;
	size_t n_output;
	size_t cap_output;
	uv_write_t write;
	int writing;
};

static void on_closed(uv_handle_t *h)
{
	struct conn *c = h->data;

	nghttp2_session_del(c->session);
	free(c->output);
	free(c);
}

static void conn_close(struct conn *c)
{
	if (!uv_is_closing((uv_handle_t *)&c->tcp))
		uv_close((uv_handle_t *)&c->tcp, on_closed);
}

static void conn_flush(struct conn *c);

static void on_written(uv_write_t *w, int status)
{
	struct conn *c = w->data;

	c->writing = 0;
	c->n_output = 0;
	if (status)
		conn_close(c);
	else
		conn_flush(c);
}

static void append(struct conn *c, const uint8_t *data, size_t n)
{
	if (c->cap_output - c->n_output < n) {
		c->cap_output = (c->n_output + n) * 2;
		c->output = realloc(c->output, c->cap_output);
		if (!c->output)
			abort();
	}
	memcpy(c->output + c->n_output, data, n);
	c->n_output += n;
}

static void conn_flush(struct conn *c)
{
	uv_buf_t b;
	int n;

	if (c->writing)
		return;
	for (;;) {
		const uint8_t *data;
		ssize_t got = nghttp2_session_mem_send(c->session, &data);

		if (got < 0) {
			conn_close(c);
			return;
		}
		if (got == 0)
			break;
		append(c, data, (size_t)got);
	}
	if (c->n_output == 0)
		return;
	b = uv_buf_init((char *)c->output, (unsigned)c->n_output);
	n = uv_try_write((uv_stream_t *)&c->tcp, &b, 1);
	if (n == (int)c->n_output) {
		c->n_output = 0;
		return;
	}
	if (n < 0)
		n = 0;
	b = uv_buf_init((char *)c->output + n, (unsigned)(c->n_output - (size_t)n));
	c->write.data = c;
	c->writing = !uv_write(&c->write, (uv_stream_t *)&c->tcp, &b, 1, on_written);
}

static ssize_t read_reply(nghttp2_session *session, int32_t stream, uint8_t *out, size_t cap,
	uint32_t *flags, nghttp2_data_source *source, void *user)
{
	static const nghttp2_nv trailer = {(uint8_t *)"grpc-status", (uint8_t *)"0", 11, 1,
		NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
	struct conn *c = user;

	if (cap < c->responder->n_reply)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	memcpy(out, c->responder->reply, c->responder->n_reply);
	*flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
	nghttp2_submit_trailer(session, stream, &trailer, 1);
	return (ssize_t)c->responder->n_reply;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	static const nghttp2_nv headers[] = {
		{(uint8_t *)":status", (uint8_t *)"200", 7, 3,
			NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE},
		{(uint8_t *)"content-type", (uint8_t *)"application/grpc", 12, 16,
			NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE},
	};
	const nghttp2_data_provider body = {.read_callback = read_reply};

	if ((frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
		frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		nghttp2_submit_response(session, frame->hd.stream_id, headers, 2, &body);
	return 0;
}

static void on_alloc(uv_handle_t *h, size_t n, uv_buf_t *out)
{
	struct conn *c = h->data;

	*out = uv_buf_init((char *)c->responder->input, READ_BYTES);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
	struct conn *c = s->data;

	if (n > 0 && nghttp2_session_mem_recv(c->session, (uint8_t *)b->base, (size_t)n) == n)
		conn_flush(c);
	else if (n)
		conn_close(c);
}

static void session_open(struct conn *c)
{
	const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1024},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW},
		{NGHTTP2_SETTINGS_MAX_FRAME_SIZE, 64 * 1024},
	};
	nghttp2_session_callbacks *callbacks;
	nghttp2_option *option;

	nghttp2_session_callbacks_new(&callbacks);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_option_new(&option);
	nghttp2_option_set_no_closed_streams(option, 1);
	nghttp2_session_server_new2(&c->session, callbacks, c, option);
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(callbacks);
	nghttp2_submit_settings(c->session, 0, settings, 3);
	nghttp2_session_set_local_window_size(c->session, 0, 0, WINDOW);
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct responder *r = listener->data;
	struct conn *c = calloc(1, sizeof(*c));

	if (status || !c)
		abort();
	c->responder = r;
	c->tcp.data = c;
	uv_tcp_init(&r->loop, &c->tcp);
	if (uv_accept(listener, (uv_stream_t *)&c->tcp)) {
		conn_close(c);
		return;
	}
	uv_tcp_nodelay(&c->tcp, 1);
	session_open(c);
	conn_flush(c);
	uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
}

int main(int argc, char **argv)
{
	struct responder *r = calloc(1, sizeof(*r));
	struct sockaddr_in address;
	size_t n = argc > 2 ? strtoul(argv[2], NULL, 10) : 100;

	if (argc < 2 || !r) {
		fprintf(stderr, "usage: responder PORT [REPLY_BYTES]\n");
		return 64;
	}
	signal(SIGPIPE, SIG_IGN);
	r->n_reply = n + 5;
	r->reply = calloc(1, r->n_reply);
	if (!r->reply)
		return 71;
	for (unsigned i = 0; i < 4; i++)
		r->reply[1 + i] = (uint8_t)(n >> (24 - 8 * i));
	uv_loop_init(&r->loop);
	uv_tcp_init(&r->loop, &r->listener);
	r->listener.data = r;
	uv_ip4_addr("127.0.0.1", (int)strtol(argv[1], NULL, 10), &address);
	if (uv_tcp_bind(&r->listener, (struct sockaddr *)&address, 0) ||
		uv_listen((uv_stream_t *)&r->listener, 1024, on_connection)) {
		fprintf(stderr, "responder: cannot listen on port %s\n", argv[1]);
		return 71;
	}
	puts("ready");
	fflush(stdout);
	return uv_run(&r->loop, UV_RUN_DEFAULT);
}
