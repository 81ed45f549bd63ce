/* model_print_tensor.c: names, types and dimensions in the words of models' files. Daemon process, before it serves. */
#include "models/model_print_tensor.h"

#include <inttypes.h>
#include <string.h>

#include "dispatch/labels.h"
#include "dispatch/sequence_settings.h"

void model_print_dims(FILE *out, const int64_t *dims, uint32_t rank)
{
	for (uint32_t i = 0; i < rank; i++)
		fprintf(out, "%s%" PRId64, i ? ", " : "", dims[i]);
}

void model_print_dims_field(FILE *out, const int64_t *dims, uint32_t rank)
{
	if (rank == 0)
		return;
	fprintf(out, " dims: [ ");
	model_print_dims(out, dims, rank);
	fprintf(out, " ]");
}

void model_print_text(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			fprintf(out, "\\%03o", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

bool model_print_is_word(const char *text)
{
	return *text && !strpbrk(text, " \t\n;#");
}

const char *model_print_type(enum dtype d)
{
	return d == DTYPE_BYTES ? "STRING" : dtype_kserve_name(d);
}

/* Text of a model's own, which must not end the comment. */
static void print_comment(
	FILE *out, const char *what, const struct wire_declaration *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct wire_declaration *d = &list[i];

		fprintf(out, "; %s ", what);
		model_print_text(out, d->name);
		fprintf(out, " %s [",
			d->dtype == DTYPE_INVALID ? "any" : dtype_kserve_name(d->dtype));
		if (d->any_shape)
			fprintf(out, "any");
		else
			model_print_dims(out, d->dims, d->rank);
		fprintf(out, "]\n");
	}
}

void model_print_declared_conf(FILE *out, const struct wire_loaded *declared)
{
	if (!declared)
		return;
	fprintf(out, "; the model declares, batches included:\n");
	print_comment(out, "input", declared->inputs, declared->n_inputs);
	print_comment(out, "output", declared->outputs, declared->n_outputs);
	if (declared->decoupled)
		fprintf(out, "; it answers any number of times\n");
}

/* Dimensions are without the batch's there. labels: of an output; NULL: there are none. */
static void print_tensor(FILE *out, const char *field, const struct wire_declaration *d,
	bool batched, const struct labels_output *labels)
{
	uint32_t skip = batched && d->rank > 0 ? 1 : 0;

	fprintf(out, "%s { name: ", field);
	model_print_text(out, d->name);
	fprintf(out, " data_type: TYPE_%s",
		d->dtype == DTYPE_INVALID ? "INVALID" : model_print_type(d->dtype));
	if (d->any_shape)
		fprintf(out, " dims: [ -1 ]");
	else if (d->rank == skip)
		fprintf(out, " dims: [ 1 ] reshape { }");
	else
		model_print_dims_field(out, d->dims + skip, d->rank - skip);
	if (labels) {
		fprintf(out, " label_filename: ");
		model_print_text(out, labels->file);
	}
	fprintf(out, " }%s\n", d->any_shape ? "  # of any shape" : "");
}

void model_print_declared_pbtxt(FILE *out, const struct version_settings *s,
	const struct wire_loaded *declared, bool batched)
{
	for (size_t i = 0; i < declared->n_inputs; i++) {
		if (!sequence_settings_hide_input(s->sequence, declared->inputs[i].name))
			print_tensor(out, "input", &declared->inputs[i], batched, NULL);
	}
	for (size_t i = 0; i < declared->n_outputs; i++) {
		const char *name = declared->outputs[i].name;

		if (!sequence_settings_hide_output(s->sequence, name))
			print_tensor(out, "output", &declared->outputs[i], batched,
				labels_find(s->labels, name));
	}
	if (declared->decoupled)
		fprintf(out, "model_transaction_policy { decoupled: true }\n");
}
