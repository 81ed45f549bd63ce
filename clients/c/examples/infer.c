/*
 * infer.c: run the model `digits` on a picture of 8 by 8 pixels in shared memory.
 *
 *     cc -o infer infer.c $(pkg-config --cflags --libs libmodeld) && ./infer
 */
#include <err.h>
#include <modeld.h>
#include <stdio.h>

#define N 64

int main(void)
{
	struct modeld *m;
	struct modeld_region *r;
	struct modeld_result *result;
	struct modeld_error e;

	if (modeld_connect(&m, NULL, &e) || modeld_allocate(m, 2 * N * sizeof(float), &r, &e))
		errx(1, "%s", e.text);

	/* The first half is the input, the second is for the output. */
	struct modeld_tensor input = {.type = MODELD_F32, .rank = 3, .dims = {1, 8, 8}};
	struct modeld_target output = {.region = r, .offset = N * sizeof(float)};
	struct modeld_request request = {.model = "digits",
		.inputs = &input,
		.n_inputs = 1,
		.targets = &output,
		.n_targets = 1};
	float *data = modeld_region_data(r);

	input.region = r;
	input.bytes = output.bytes = N * sizeof(float);
	for (int i = 0; i < N; i++)
		data[i] = (float)i;
	if (modeld_infer(m, &request, &result, &e))
		errx(1, "%s", e.text);

	const struct modeld_tensor *t = modeld_result_output(result, 0);

	printf("%s: %llu bytes, the first is %g\n", t->name, (unsigned long long)t->bytes,
		((const float *)t->data)[0]);
	modeld_result_free(result);
	modeld_close(m);
}
