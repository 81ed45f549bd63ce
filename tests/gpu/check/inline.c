/* inline.c: requests made by hand around the payload, which is sent from where it lies. */
#include "tests/gpu/check/inline.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proto/model_worker.pb-c.h"

#define INFER_PATH "/remotemedia.model_registry.v1.ModelWorkerService/Infer"

typedef Remotemedia__ModelRegistry__V1__InferResponse InferResponse;

static size_t varint(uint8_t *to, uint64_t value)
{
	size_t n = 0;

	for (; value >= 128; value >>= 7)
		to[n++] = (uint8_t)(value | 128);
	to[n++] = (uint8_t)value;
	return n;
}

static size_t put_text(uint8_t *to, uint8_t tag, const char *text)
{
	size_t n = strlen(text);

	to[0] = tag;
	to[1] = (uint8_t)n;
	memcpy(to + 2, text, n);
	return 2 + n;
}

/* InferRequest{model_id = 1, tensor_data = 3 {data = 1, shape = 2, dtype = 3}} */
static void inline_pack(struct inline_call *k, const struct inline_input *in)
{
	uint8_t dims[32], length[16];
	size_t n, n_tail = 0, n_dims = 0, n_length = varint(length, k->bytes);

	for (unsigned i = 0; i < in->rank; i++)
		n_dims += varint(dims + n_dims, in->dims[i]);
	k->mid[n_tail++] = 2 << 3 | 2;
	k->mid[n_tail++] = (uint8_t)n_dims;
	memcpy(k->mid + n_tail, dims, n_dims);
	n_tail += n_dims;
	n_tail += put_text(k->mid + n_tail, 3 << 3 | 2, in->dtype);
	n = put_text(k->head, 1 << 3 | 2, in->model);
	k->head[n++] = 3 << 3 | 2;
	n += varint(k->head + n, 1 + n_length + k->bytes + n_tail);
	k->head[n++] = 1 << 3 | 2;
	memcpy(k->head + n, length, n_length);
	n += n_length;
	k->pieces[0] = (struct grpc_piece){k->head, n};
	k->pieces[1] = (struct grpc_piece){k->payload, k->bytes};
	k->pieces[2] = (struct grpc_piece){k->mid, n_tail};
}

static void on_reply(void *arg, const uint8_t *message, size_t n)
{
	struct inline_call *k = arg;
	InferResponse *reply;

	if (!k->check) {
		k->right = n > k->out_bytes;
		return;
	}
	reply = remotemedia__model_registry__v1__infer_response__unpack(NULL, n, message);
	k->right = reply && reply->tensor_data && reply->tensor_data->data.len == k->bytes &&
		   !memcmp(reply->tensor_data->data.data, k->payload, k->bytes);
	if (reply)
		remotemedia__model_registry__v1__infer_response__free_unpacked(reply, NULL);
}

static int inline_begin(struct inline_call *k, struct grpc_call **ret_call)
{
	const struct grpc_call_options options = {
		.path = INFER_PATH,
		.pieces = k->pieces,
		.n_pieces = 3,
		.timeout_ns = UINT64_MAX,
		.max_message_bytes = UINT32_MAX,
		.on_message = on_reply,
		.data = k,
	};

	k->right = false;
	return grpc_call_new(ret_call, k->client, &options);
}

static bool inline_end(struct inline_call *k, struct grpc_call *call)
{
	int r = grpc_client_run(k->client, call, CLOCK_NO_DEADLINE);
	bool right = r == 0 && grpc_call_status(call) == 0 && k->right;

	grpc_call_free(call);
	return right;
}

bool inline_infer(struct inline_call *k)
{
	struct grpc_call *call;

	return inline_begin(k, &call) == 0 && inline_end(k, call);
}

bool inline_open_as(struct inline_call *k, const struct daemon *d, const struct inline_input *in,
	size_t out_bytes)
{
	char text[256];

	*k = (struct inline_call){
		.bytes = in->bytes, .out_bytes = out_bytes, .payload = malloc(in->bytes + 1)};
	if (!k->payload ||
		grpc_client_new(&k->client, d->address, 5 * NS_PER_S, text, sizeof(text)))
		return false;
	check_fill(k->payload, k->bytes, (uint32_t)k->bytes + 1);
	inline_pack(k, in);
	return true;
}

bool inline_open(struct inline_call *k, const struct daemon *d, size_t bytes)
{
	const struct inline_input in = {"identity", "u8", 1, {bytes}, bytes};

	return inline_open_as(k, d, &in, bytes);
}

void inline_close(struct inline_call *k)
{
	grpc_client_free(k->client);
	free(k->payload);
}

static bool run(void *data)
{
	return inline_infer(data);
}

double inline_latency_us(struct inline_call *k, struct check *c)
{
	return check_latency_us(c, run, k);
}

double inline_rate(struct inline_call *k, const struct check *c)
{
	struct inline_call slots[INLINE_DEPTH]; /* they share what they send */
	struct grpc_call *calls[INLINE_DEPTH] = {NULL};
	uint64_t start_ns = clock_ns(), now_ns = start_ns, n = 0;
	bool right = true;

	for (unsigned i = 0; right && i < INLINE_DEPTH; i++) {
		slots[i] = *k;
		right = inline_begin(&slots[i], &calls[i]) == 0;
	}
	while (right && now_ns - start_ns < c->measure_ns) {
		unsigned i = n++ % INLINE_DEPTH;

		right = inline_end(&slots[i], calls[i]);
		calls[i] = NULL;
		right = right && inline_begin(&slots[i], &calls[i]) == 0;
		now_ns = clock_ns();
	}
	for (unsigned i = 0; i < INLINE_DEPTH; i++)
		grpc_call_free(calls[i]);
	return right && n > 0 ? (double)n / ((double)(now_ns - start_ns) / 1e9) : 0;
}
