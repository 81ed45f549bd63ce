/* fake_tables.c: see fake_tables.h. */
#include "fake_tables.h"

#include <errno.h>

static const struct codec_field part_fields[] = {
	[1] = CODEC_RANGE(struct part, id, 0, 99),
	[2] = CODEC_TEXT(struct part, name, 8),
};
static const struct codec_message part = CODEC_MESSAGE(struct part, part_fields, NULL);

static const struct codec_field sample_fields[] = {
	[1] = CODEC_RANGE(struct sample, need, 1, UINT32_MAX),
	[2] = CODEC_NUMBER(struct sample, flag),
	[3] = CODEC_TEXT(struct sample, text, 8),
	[4] = CODEC_BYTES(struct sample, bytes, n_bytes, 0, 4),
	[5] = CODEC_NUMBERS(struct sample, numbers, n_numbers, 5, 0, 300),
	[6] = CODEC_NUMBERS(struct sample, longs, n_longs, 3, -1, INT64_MAX),
	[7] = CODEC_TEXTS(struct sample, texts, n_texts, 3, 8),
	[8] = CODEC_MESSAGES(struct sample, parts, n_parts, 0, 3, &part),
	[50] = CODEC_RANGE(struct sample, far, 0, 1000),
};

static int check_sample(const void *message)
{
	const struct sample *s = message;

	return s->far == 13 && !s->flag ? -EINVAL : 0;
}

const struct codec_message sample_table = CODEC_MESSAGE(struct sample, sample_fields, check_sample);

static const struct codec_field choice_fields[] = {
	[1] = CODEC_NUMBER(struct choice, seq),
	[2] = CODEC_BODY(struct choice, part, &part),
	[3] = CODEC_BODY(struct choice, part, &part),
	[4] = CODEC_NUMBER(struct choice, tail),
};
const struct codec_message choice_table = CODEC_ONEOF(struct choice, choice_fields, type, 2, 3);
