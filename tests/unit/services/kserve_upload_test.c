/* Tests of kserve_upload.c: from whom files of models are taken, how many bytes of them, and that what was reserved is given back. */
#include "services/kserve_upload.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/spool.h"
#include "service_fixture.h"
#include "services/kserve_service.h"
#include "services/kserve_small.h"
#include "tests/support/failalloc.h"

#define LIMIT 200000u

static struct fixture f;
static struct lifecycle lifecycle;
static struct call call;
static char parent[64], root[80];
static struct spool *spool;
static struct buf message = {.max = 1u << 20};

static void set_up(void)
{
	fixture_init(&f);
	double_lifecycle_init(&lifecycle);
	snprintf(parent, sizeof(parent), "/tmp/kserve-upload-XXXXXX");
	cr_assert(mkdtemp(parent));
	snprintf(root, sizeof(root), "%s/files", parent);
	cr_assert_eq(spool_open(&spool, root, LIMIT), 0);
	f.services.lifecycle = &lifecycle;
	f.services.spool = spool;
	f.settings.uploads = KSERVE_UPLOADS_UNIX;
	memset(&call, 0, sizeof(call));
	call.closed = true;
}

static void tear_down(void)
{
	double_call_free(&call);
	buf_deinit(&message);
	cr_expect(list_empty(&lifecycle.waits), "a call waits that is gone");
	spool_close(spool);
	cr_expect(!rmdir(root) && !rmdir(parent), "files were left");
	fixture_deinit(&f);
}

TestSuite(kserve_upload, .init = set_up, .fini = tear_down);

/* --- What is sent ------------------------------------------------------------------------------- */

static void put(const void *data, size_t n)
{
	cr_assert_eq(buf_append(&message, data, n), 0);
}

static size_t size_of_number(size_t n)
{
	return n < 0x80 ? 1 : 1 + size_of_number(n >> 7);
}

/* A field's tag and length. */
static void put_head(uint8_t tag, size_t n)
{
	put(&tag, 1);
	for (; n >= 0x80; n >>= 7)
		put(&(uint8_t){(uint8_t)(n | 0x80)}, 1);
	put(&(uint8_t){(uint8_t)n}, 1);
}

/* parameters { key value { (tag): n bytes } } */
static void put_parameter(const char *key, uint8_t tag, const void *data, size_t n)
{
	size_t value = 1 + size_of_number(n) + n;

	put_head(0x1a, 2 + strlen(key) + 1 + size_of_number(value) + value);
	put_head(0x0a, strlen(key));
	put(key, strlen(key));
	put_head(0x12, value);
	put_head(tag, n);
	put(data, n);
}

/* For model m, with a configuration and one file. */
static void put_load(const char *path, size_t n_file)
{
	_cleanup_(freep) uint8_t *file = calloc(1, n_file + 1);
	static const char config[] = "{\"backend\": \"onnxruntime\"}";

	cr_assert(file);
	buf_reset(&message);
	put("\x12\x01m", 3);
	put_parameter("config", 0x1a, config, strlen(config));
	put_parameter(path, 0x22, file, n_file);
}

static void open_by(int64_t uid, int64_t user, bool loopback)
{
	double_call_free(&call);
	double_call_open(&call, fixture_method(&kserve_service, "RepositoryModelLoad"), &f.services,
		&f.client);
	call.peer.uid = uid;
	call.peer.user = user;
	call.peer.loopback = loopback;
}

static void send_load(void)
{
	double_call_message(&call, message.data, message.len);
}

/* By the Unix socket, from the daemon's user. */
static void load(const char *path, size_t n_file)
{
	put_load(path, n_file);
	open_by(geteuid(), geteuid(), false);
	send_load();
}

static void expect(enum grpc_status status, const char *text)
{
	cr_assert(call.closed, "the call goes on");
	cr_expect_eq(call.status, status, "got %s: %s", grpc_status_name(call.status), call.text);
	cr_expect(strstr(call.text, text), "%s", call.text);
}

/* Once what is on its way out is gone. */
static uint64_t used(void)
{
	spool_settle(spool);
	return spool_used(spool);
}

/* --- The tests ---------------------------------------------------------------------------------- */

Test(kserve_upload, what_is_kept_is_the_message)
{
	static const size_t sizes[] = {1, 100000};

	for (size_t i = 0; i < 2; i++) {
		load("file:1/model.onnx", sizes[i]);
		cr_assert_not(call.closed, "%s", call.text);
		cr_expect(lifecycle.whole);
		cr_expect_eq(used(), 0, "the double has let go of it");
		double_lifecycle_answer(&lifecycle, LIFECYCLE_OK, "");
		expect(GRPC_OK, "");
	}
}

static const struct {
	enum kserve_uploads uploads;
	int64_t uid, user;
	bool loopback, taken;
} callers[] = {
	{KSERVE_UPLOADS_UNIX, 0, 0, false, true},
	{KSERVE_UPLOADS_UNIX, 77777, 77777, false, false},
	{KSERVE_UPLOADS_UNIX, -1, 0, true, false},
	{KSERVE_UPLOADS_UNIX, -1, -1, false, false},
	{KSERVE_UPLOADS_LOCAL, 0, 0, false, true},
	{KSERVE_UPLOADS_LOCAL, -1, 0, true, true},
	{KSERVE_UPLOADS_LOCAL, -1, 77777, true, false},
	{KSERVE_UPLOADS_LOCAL, -1, -1, true, false},
};

Test(kserve_upload, from_whom)
{
	for (size_t i = 0; i < sizeof(callers) / sizeof(callers[0]); i++) {
		f.settings.uploads = callers[i].uploads;
		for (size_t n = 1; n < LIMIT; n += 100000) {
			put_load("file:1/model.onnx", n);
			open_by(callers[i].uid, callers[i].user, callers[i].loopback);
			send_load();
			cr_expect_eq(call.closed, !callers[i].taken, "%zu: %s", i, call.text);
			if (call.closed && callers[i].loopback)
				expect(GRPC_PERMISSION_DENIED, "[models] uploads");
			double_call_close(&call);
			cr_expect_eq(used(), 0);
		}
	}
}

Test(kserve_upload, nowhere)
{
	f.services.spool = NULL;
	load("file:1/model.onnx", 1);
	expect(GRPC_UNIMPLEMENTED, "[models] uploads");
	load("file:1/model.onnx", 100000);
	expect(GRPC_UNIMPLEMENTED, "[models] uploads");
	lifecycle.explicit = false;
	load("file:1/model.onnx", 100000);
	expect(GRPC_UNAVAILABLE, KSERVE_NOT_EXPLICIT);
}

Test(kserve_upload, more_than_there_is_room_for)
{
	load("file:1/model.onnx", LIMIT);
	expect(GRPC_RESOURCE_EXHAUSTED, "[models] max_upload_bytes");
	cr_assert(spool_reserve(spool, LIMIT - 100));
	load("file:1/model.onnx", 100);
	expect(GRPC_RESOURCE_EXHAUSTED, "[models] max_upload_bytes");
	spool_unreserve(spool, LIMIT - 100);
}

/* Of a message that is compressed nobody knows how long it will be. */
Test(kserve_upload, of_unknown_length)
{
	static const size_t sizes[] = {1, 100000, LIMIT};

	for (size_t i = 0; i < 3; i++) {
		put_load("file:1/model.onnx", sizes[i]);
		open_by(0, 0, false);
		call.announced = UINT64_MAX;
		call.chunk = 1000;
		send_load();
		cr_expect_eq(call.closed, sizes[i] == LIMIT, "%s", call.text);
		double_call_close(&call);
		cr_expect_eq(used(), 0);
	}
	expect(GRPC_RESOURCE_EXHAUSTED, "[models] max_upload_bytes");
}

Test(kserve_upload, who_goes_away_meanwhile)
{
	put_load("file:1/model.onnx", 100000);
	open_by(0, 0, false);
	call.announced = message.len + 1;
	call.method->message_begin(&call, call.state, message.len);
	cr_expect_eq(used(), message.len);
	double_call_close(&call);
	cr_expect_eq(used(), 0);
}

Test(kserve_upload, paths_that_lead_elsewhere)
{
	load("file:../x", 1);
	expect(GRPC_INVALID_ARGUMENT,
		"file:../x is no VERSION/NAME of a file in the model's directory");
	load("file:/etc/passwd", 100000);
	expect(GRPC_INVALID_ARGUMENT, "file:/etc/passwd is no VERSION/NAME");
	cr_expect_eq(used(), 0);
}

static int load_once(void *arg)
{
	(void)arg;
	open_by(0, 0, false);
	send_load();
	spool_settle(spool);
	if (call.closed)
		return call.status == GRPC_RESOURCE_EXHAUSTED ? -ENOMEM : 1;
	double_lifecycle_answer(&lifecycle, LIFECYCLE_OK, "");
	double_call_free(&call);
	return 0;
}

Test(kserve_upload, without_memory)
{
	put_load("file:1/model.onnx", 70000);
	FAULT_LOOP(load_once, NULL);
	cr_expect_eq(used(), 0);
}
