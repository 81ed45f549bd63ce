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

/* InferRequest{model_id = 1, tensor_data = 2 {data = 1, shape = 2, dtype = 3}} */
static void inline_pack(struct inline_call *k)
{
	uint8_t tail[32], inner[16];
	size_t n = 0, n_tail = 0, n_inner;

	n_inner = varint(inner, k->bytes);
	tail[n_tail++] = 2 << 3 | 2;
	tail[n_tail++] = (uint8_t)n_inner;
	memcpy(tail + n_tail, inner, n_inner);
	n_tail += n_inner;
	memcpy(tail + n_tail, "\x1a\x02u8", 4);
	n_tail += 4;
	memcpy(k->head, "\x0a\x08identity\x1a", 11);
	n = 11 + varint(k->head + 11, 1 + n_inner + k->bytes + n_tail);
	k->head[n++] = 1 << 3 | 2;
	n += varint(k->head + n, k->bytes);
	memcpy(k->mid, tail, n_tail);
	k->pieces[0] = (struct grpc_piece){k->head, n};
	k->pieces[1] = (struct grpc_piece){k->payload, k->bytes};
	k->pieces[2] = (struct grpc_piece){k->mid, n_tail};
}

static void on_reply(void *arg, const uint8_t *message, size_t n)
{
	struct inline_call *k = arg;
	InferResponse *reply;

	if (!k->check) {
		k->right = n > k->bytes;
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

bool inline_open(struct inline_call *k, const struct daemon *d, size_t bytes)
{
	char text[256];

	*k = (struct inline_call){.bytes = bytes, .payload = malloc(bytes + 1)};
	if (!k->payload ||
		grpc_client_new(&k->client, d->address, 5 * NS_PER_S, text, sizeof(text)))
		return false;
	check_fill(k->payload, bytes, (uint32_t)bytes + 1);
	inline_pack(k);
	return true;
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
