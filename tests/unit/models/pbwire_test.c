/* Tests of pbwire.c: what protobuf-c makes of what is written. */
#include "models/pbwire.h"

#include <criterion/criterion.h>
#include <errno.h>

#include "proto/kserve/model_config.pb-c.h"
#include "tests/support/failalloc.h"

static const ProtobufCFieldDescriptor *field(
	const ProtobufCMessageDescriptor *type, const char *name)
{
	return protobuf_c_message_descriptor_get_field_by_name(type, name);
}

#define CONFIG(name) field(&inference__model_config__descriptor, name)

Test(pbwire, fields)
{
	struct buf out = {.max = 4096};
	Inference__ModelConfig *m;

	cr_assert_eq(pbwire_put_bytes(&out, CONFIG("name"), "m", 1), 0);
	cr_assert_eq(pbwire_put_integer(&out, CONFIG("max_batch_size"), (uint64_t)INT64_C(-5)), 0);
	m = inference__model_config__unpack(NULL, out.len, out.data);
	cr_assert(m);
	cr_expect_str_eq(m->name, "m");
	cr_expect_eq(m->max_batch_size, -5);
	inference__model_config__free_unpacked(m, NULL);
	buf_deinit(&out);
}

Test(pbwire, reals)
{
	const ProtobufCMessageDescriptor *type =
		&inference__model_metrics__metric_control__histogram_options__descriptor;
	struct buf out = {.max = 4096};
	Inference__ModelMetrics__MetricControl__HistogramOptions *m;

	cr_assert_eq(pbwire_put_real(&out, field(type, "buckets"), 2.5), 0);
	m = (void *)protobuf_c_message_unpack(type, NULL, out.len, out.data);
	cr_assert(m);
	cr_assert_eq(m->n_buckets, 1);
	cr_expect_float_eq(m->buckets[0], 2.5, 1e-12);
	protobuf_c_message_free_unpacked(&m->base, NULL);
	buf_deinit(&out);
}

Test(pbwire, no_more_than_fits)
{
	struct buf out = {.max = 3};

	cr_expect_eq(pbwire_put_bytes(&out, CONFIG("name"), "long", 4), -ENOBUFS);
	buf_deinit(&out);
}

Test(pbwire, masks)
{
	const ProtobufCMessageDescriptor *type = &inference__model_config__descriptor;

	cr_expect_eq(pbwire_present_bit(CONFIG("max_batch_size")), UINT64_C(1) << 4);
	cr_expect_eq(pbwire_bit(type, CONFIG("max_batch_size")), UINT64_C(1) << 4);
	cr_expect_eq(pbwire_bit(type, CONFIG("input")), 0);
	cr_expect_eq(pbwire_bit(type, CONFIG("dynamic_batching")),
		pbwire_bit(type, CONFIG("sequence_batching")), "one excludes the other");
}

Test(pbwire, maps)
{
	cr_expect(pbwire_is_map(CONFIG("parameters")));
	cr_expect_not(pbwire_is_map(CONFIG("input")));
	cr_expect_not(pbwire_is_map(CONFIG("name")));
	cr_expect_not(pbwire_is_map(CONFIG("dynamic_batching")));
}

static int life(void *arg)
{
	struct buf out = {.max = 4096};
	int r = pbwire_put_bytes(&out, arg, "m", 1);

	buf_deinit(&out);
	return r;
}

Test(pbwire, every_failure_leaves_nothing_behind)
{
	FAULT_LOOP_KINDS(life, (void *)CONFIG("name"), FAIL_ALLOCATIONS);
}
