/* inference_send.c: records with what a model gave, or with what it takes. Daemon process, loop thread. */
#include "handoff/handoff_private.h"
#include "handoff/inference_private.h"

/* Outputs that an error tells of: so many fit a record. */
#define TOLD_MAX 256u

uint64_t inference_inline_bytes(const struct handoff_inferred *inferred)
{
	uint64_t n = 0;

	for (size_t k = 0; k < inferred->n_outputs; k++)
		n += inferred->outputs[k].n_data;
	return n;
}

void inference_send(struct inference *i, const struct handoff_inferred *inferred, int fd)
{
	const struct handoff_message m = {
		.seq = i->seq, .type = HANDOFF_INFERRED, .inferred = *inferred};

	for (size_t k = 0; k < inferred->n_outputs; k++) {
		if (inferred->outputs[k].region)
			i->handed_bytes += inferred->outputs[k].length;
	}
	if (inferred->more)
		guest_answer_part(i->guest, &m, fd, &i->parts);
	else
		guest_answer(i->guest, &m, fd);
	i->guest->handoff->tensor_bytes_handed += i->handed_bytes;
	i->handed_bytes = 0;
}

void inference_tell_sizes(struct inference *i, const struct handoff_inferred *inferred,
	enum grpc_status code, const char *text)
{
	struct handoff_tensor *told = handoff_scratch_tensors(i->guest->handoff->scratch);
	size_t n = 0;

	call_trace_answer(i->trace, code);
	for (size_t k = 0; inferred->n_outputs <= TOLD_MAX && k < inferred->n_outputs; k++) {
		if (inferred->outputs[k].region)
			continue;
		told[n] = inferred->outputs[k];
		told[n].offset = 0;
		told[n].data = NULL;
		told[n++].n_data = 0;
	}
	guest_answer(i->guest,
		&(struct handoff_message){.seq = i->seq,
			.type = HANDOFF_ERROR,
			.error = {.code = code, .message = text, .outputs = told, .n_outputs = n}},
		-1);
}
