/* family.c: all families, and the series of one. */
#include "metrics/family.h"

const struct family *const families[] = {
	server_families, worker_families, model_families, gpu_families, triton_families, NULL};

void family_write(struct text *t, const struct family *f, const struct subject *s)
{
	uint64_t value;

	if (!f->value) {
		f->write(t, f, s);
		return;
	}
	value = f->value(s);
	if (value != FAMILY_ABSENT)
		text_sample(t, f->name, s->labels, "", value, f->unit);
}
