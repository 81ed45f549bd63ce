"""libmodeld as its users have it: installed, found by pkg-config, against a real daemon."""
import os
import shlex
import signal
import subprocess
import time

import pytest

from daemon import BUILD, ROOT, SANITIZED
from test_upgrade import end, successors, upgrade  # noqa: F401

SYSTEM, TIMEOUT, STALE = 100, 101, 103

pytestmark = [pytest.mark.skipif(SANITIZED, reason="the compiler of the example links no sanitizer"),
              pytest.mark.xdist_group("make")]

MANY = r"""
#include <assert.h>
#include <err.h>
#include <modeld.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N 48
#define STEP 4096

int main(int argc, char **argv)
{
	struct modeld_options options = {.grpc = atoi(argv[1])};
	struct modeld_call *calls[N];
	struct modeld_region *r;
	struct modeld_error e;
	struct modeld *m;
	unsigned char *data;

	if (modeld_connect(&m, &options, &e) || modeld_allocate(m, 2 * N * STEP, &r, &e))
		errx(1, "%s", e.text);
	data = modeld_region_data(r);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < N; i++) {
			struct modeld_tensor in = {.type = MODELD_U8, .rank = 1, .dims = {STEP},
				.region = r, .offset = (uint64_t)i * STEP, .bytes = STEP};
			struct modeld_target out = {
				.region = r, .offset = (uint64_t)(N + i) * STEP, .bytes = STEP};
			struct modeld_request q = {.model = "identity", .inputs = &in, .n_inputs = 1,
				.targets = &out, .n_targets = 1};

			memset(data + i * STEP, round * 7 + i, STEP);
			memset(data + (N + i) * STEP, 0xee, STEP);
			if (modeld_submit(m, &q, &calls[i], &e))
				errx(1, "submit: %s", e.text);
		}
		/* In another order than they were sent; every fifth is not wanted any more. */
		for (int i = N - 1; i >= 0; i--) {
			struct modeld_result *result;

			if (i % 5 == 4) {
				modeld_cancel(calls[i]);
				continue;
			}
			if (modeld_wait(calls[i], UINT64_MAX, &result, &e))
				errx(1, "wait: %s", e.text);
			assert(modeld_result_output(result, 0)->data == data + (N + i) * STEP);
			modeld_result_free(result);
			assert(!memcmp(data + i * STEP, data + (N + i) * STEP, STEP));
		}
	}
	struct modeld_tensor in = {.type = MODELD_U8, .rank = 1, .dims = {STEP}, .region = r, .bytes = STEP};
	struct modeld_request q = {.model = "no such model", .inputs = &in, .n_inputs = 1};
	struct modeld_result *result;

	if (modeld_infer(m, &q, &result, &e) != 5)
		errx(1, "expected NOT_FOUND: %s", e.text);
	modeld_release(r);
	struct modeld_limits limits;

	if (modeld_get_limits(m, &limits, &e) || limits.user_used_regions > 1)
		errx(1, "limits: %s", e.text);
	modeld_close(m);
	puts("done");
}
"""

ROOM = r"""
#include <assert.h>
#include <err.h>
#include <modeld.h>
#include <stdio.h>
#include <string.h>

#define N (3 << 20)

int main(void)
{
	struct modeld_region *r, *made;
	const struct modeld_tensor *out;
	struct modeld_result *result;
	struct modeld_limits limits;
	struct modeld_error e;
	struct modeld *m;

	if (modeld_connect(&m, NULL, &e) || modeld_allocate(m, N, &r, &e))
		errx(1, "%s", e.text);
	for (int i = 0; i < N; i++)
		((unsigned char *)modeld_region_data(r))[i] = (unsigned char)(i * 7 / 5);
	struct modeld_tensor in = {.type = MODELD_U8, .rank = 1, .dims = {N}, .region = r, .bytes = N};
	struct modeld_request q = {.model = "identity", .inputs = &in, .n_inputs = 1};

	if (modeld_infer(m, &q, &result, &e) != 9)
		errx(1, "expected FAILED_PRECONDITION: %s", e.text);
	q.make_room = 1;
	if (modeld_infer(m, &q, &result, &e))
		errx(1, "%s", e.text);
	out = modeld_result_output(result, 0);
	assert(out->bytes == N && !memcmp(out->data, modeld_region_data(r), N));
	made = modeld_result_region(result);
	assert(made == out->region);
	modeld_result_free(result);
	/* The next result goes there, and nothing is made. */
	struct modeld_target target = {.region = made, .bytes = modeld_region_bytes(made)};

	q.targets = &target;
	q.n_targets = 1;
	if (modeld_infer(m, &q, &result, &e))
		errx(1, "%s", e.text);
	assert(modeld_result_output(result, 0)->region == made && !modeld_result_region(result));
	modeld_result_free(result);
	q.n_targets = 0;
	for (int i = 0; i < 50; i++) {
		if (modeld_infer(m, &q, &result, &e))
			errx(1, "%s", e.text);
		modeld_result_free(result);
	}
	modeld_release(made);
	if (modeld_get_limits(m, &limits, &e) || limits.user_used_regions > 20)
		errx(1, "%u regions are left: %s", limits.user_used_regions, e.text);
	modeld_close(m);
	puts("done");
}
"""


LIVES = r"""
#include <err.h>
#include <modeld.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Each line on standard input is an inference, with memory made anew where it is stale; its code is printed. */
int main(int argc, char **argv)
{
	struct modeld_options options = {.grpc = atoi(argv[1]), .timeout_us = 5000000};
	struct modeld_region *r = NULL;
	struct modeld_result *result;
	struct modeld_error e;
	struct modeld *m;
	char line[16];

	setvbuf(stdout, NULL, _IONBF, 0);
	if (modeld_connect(&m, &options, &e) || modeld_allocate(m, 8192, &r, &e))
		errx(1, "%s", e.text);
	puts("connected");
	while (fgets(line, sizeof(line), stdin)) {
		struct modeld_tensor in = {.type = MODELD_U8, .rank = 1, .dims = {4096}, .region = r, .bytes = 4096};
		struct modeld_target out = {.region = r, .offset = 4096, .bytes = 4096};
		struct modeld_request q = {.model = "identity", .inputs = &in, .n_inputs = 1, .targets = &out,
			.n_targets = 1, .timeout_us = 1000000ull * (unsigned)atoi(line)};
		int code = modeld_infer(m, &q, &result, &e);

		if (code == 0)
			modeld_result_free(result);
		printf("%d\n", code);
		if (code == MODELD_E_STALE) {
			modeld_release(r);
			if (modeld_allocate(m, 8192, &r, &e))
				errx(1, "%s", e.text);
		}
	}
	modeld_close(m);
	puts("done");
}
"""

BUSY = r"""
#include <assert.h>
#include <err.h>
#include <modeld.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N 8
#define STEP 4096

static struct modeld *m;
static struct modeld_region *r;
static struct modeld_call *calls[N];
static unsigned char *data;
static int n_done, n_stale;

static void allocate(void)
{
	struct modeld_error e;

	modeld_release(r);
	/* While one daemon goes and the other comes, too. */
	if (modeld_allocate(m, 2 * N * STEP, &r, &e))
		errx(1, "allocate: %d %s", e.code, e.text);
	data = modeld_region_data(r);
}

static int submit(int i)
{
	struct modeld_tensor in = {.type = MODELD_U8, .rank = 1, .dims = {STEP}, .region = r,
		.offset = (uint64_t)i * STEP, .bytes = STEP};
	struct modeld_target out = {.region = r, .offset = (uint64_t)(N + i) * STEP, .bytes = STEP};
	struct modeld_request q = {.model = "identity", .inputs = &in, .n_inputs = 1, .targets = &out, .n_targets = 1};
	struct modeld_error e;

	memset(data + i * STEP, n_done + i, STEP);
	memset(data + (N + i) * STEP, 0xee, STEP);
	if (!modeld_submit(m, &q, &calls[i], &e))
		return 0;
	if (e.code != MODELD_E_STALE)
		errx(1, "submit: %d %s", e.code, e.text);
	n_stale++;
	return MODELD_E_STALE;
}

static int wait_for(int i)
{
	struct modeld_result *result;
	struct modeld_error e;
	int code = modeld_wait(calls[i], UINT64_MAX, &result, &e);

	calls[i] = NULL;
	if (code == MODELD_E_STALE)
		n_stale++;
	else if (code)
		errx(1, "wait: %d %s", e.code, e.text);
	else if (memcmp(data + i * STEP, data + (N + i) * STEP, STEP))
		errx(1, "another one's answer");
	if (!code)
		modeld_result_free(result);
	n_done += !code;
	return code;
}

/* Eight calls are open at any time, until standard input ends; a line now and then, where the connection is another one, and where memory that went with
 * a daemon was made anew. */
int main(void)
{
	struct modeld_options options = {.grpc = 1};
	struct modeld_error e;
	int lines = 0, descriptor = -1;

	setvbuf(stdout, NULL, _IONBF, 0);
	if (modeld_connect(&m, &options, &e))
		errx(1, "%s", e.text);
	allocate();
	for (;;) {
		struct pollfd end = {.fd = 0, .events = POLLIN};
		int stale = 0;

		for (int i = 0; i < N; i++) {
			if (calls[i])
				stale |= wait_for(i);
			if (!stale)
				stale = submit(i);
		}
		if (stale) {
			for (int i = 0; i < N; i++)
				if (calls[i])
					(void)wait_for(i);
			allocate();
			puts("stale");
		}
		if (n_done / 100 > lines)
			lines = n_done / 100, puts("some");
		if (modeld_descriptor(m) != descriptor)
			descriptor = modeld_descriptor(m), puts("moved");
		if (poll(&end, 1, 0) > 0)
			break;
	}
	modeld_close(m);
	printf("%d stale\n", n_stale);
}
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """compile(source) -> program, against an installed copy, with what pkg-config says."""
    root = tmp_path_factory.mktemp("libmodeld")
    subprocess.run(["make", "-s", "install", f"BUILD={BUILD}", f"DESTDIR={root}", "PREFIX=/usr"], cwd=ROOT, check=True,
                   capture_output=True, timeout=600)
    found = [os.path.join(at, "libmodeld.pc") for at, _, names in os.walk(root) if "libmodeld.pc" in names]
    environment = dict(os.environ, PKG_CONFIG_PATH=os.path.dirname(found[0]), PKG_CONFIG_SYSROOT_DIR=str(root))
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libmodeld"], env=environment, check=True,
                           capture_output=True, text=True).stdout.split()
    library = next(at for at, _, names in os.walk(root) if any(n.startswith("libmodeld.so") for n in names))

    def build(source):
        program = str(root / (os.path.basename(source) + ".out"))
        subprocess.run([*shlex.split(os.environ.get("CC", "cc")), "-std=gnu11", "-Wall", "-Werror", "-o", program, source, *flags,
                        f"-Wl,-rpath,{library}"], check=True)
        return program

    yield build


def run(d, *argv):
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, env=dict(
        os.environ, MODELD_HANDOFF=os.path.join(d.directory, "handoff.sock")))


def test_the_example(compiled, start):
    d = start(models=["digits"], repository=os.path.join(ROOT, "conf", "models"))
    r = run(d, compiled(os.path.join(ROOT, "clients", "c", "examples", "infer.c")))
    assert r.returncode == 0, r.stderr
    assert "bytes, the first is" in r.stdout


@pytest.mark.parametrize("grpc", [0, 1])
def test_pipelining(compiled, daemon, tmp_path, grpc):
    source = tmp_path / f"many{grpc}.c"
    source.write_text(MANY)
    r = run(daemon, compiled(str(source)), str(grpc))
    assert (r.returncode, r.stdout) == (0, "done\n"), r.stderr


def test_an_output_of_unknown_size(compiled, daemon, tmp_path):
    source = tmp_path / "room.c"
    source.write_text(ROOM)
    r = run(daemon, compiled(str(source)))
    assert (r.returncode, r.stdout) == (0, "done\n"), r.stderr


class Lives:
    """The program LIVES."""

    def __init__(self, program, grpc, directory):
        self.process = subprocess.Popen([program, str(grpc)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(
            os.environ, MODELD_HANDOFF=os.path.join(directory, "handoff.sock")))
        assert self.process.stdout.readline() == "connected\n"

    def infer(self, timeout=0):
        """The code."""
        self.process.stdin.write(f"{timeout}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def end(self):
        out, _ = self.process.communicate(timeout=60)
        return out, self.process.returncode


@pytest.mark.parametrize("grpc", [0, 1])
def test_a_client_outlives_the_daemon(compiled, start, tmp_path, grpc):
    source = tmp_path / f"lives{grpc}.c"
    source.write_text(LIVES)
    def begin():
        return start(f"handoff.socket={tmp_path}/handoff.sock", models=["identity"], listen=f"unix:{tmp_path}/modeld.sock")

    d = begin()
    client = Lives(compiled(str(source)), grpc, str(tmp_path))
    assert client.infer() == 0
    os.kill(d.pid, signal.SIGSTOP)
    before = time.monotonic()
    assert client.infer(timeout=1) == TIMEOUT
    assert time.monotonic() - before >= 1
    d.process.kill()
    d.process.wait()
    d.checked = True
    assert client.infer(timeout=10) == SYSTEM
    d = begin()
    assert client.infer() == STALE
    assert client.infer() == 0
    assert client.end() == ("done\n", 0)


class Busy:
    """The program BUSY."""

    def __init__(self, compiled, directory, tmp_path):
        source = tmp_path / "busy.c"
        source.write_text(BUSY)
        self.process = subprocess.Popen([compiled(str(source))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, env=dict(os.environ, MODELD_HANDOFF=os.path.join(directory, "handoff.sock")))
        self.go_on()

    def go_on(self, until="some", n=2):
        """A hundred calls more, at least; or until it was on another connection n times ("moved"), or had other memory ("stale")."""
        while n:
            line = self.process.stdout.readline()
            if not line:
                pytest.fail(self.process.communicate(timeout=60)[1])
            n -= line == until + "\n"

    def end(self):
        """How many calls were told that their memory went with a daemon; none has ended otherwise, but with its result."""
        out, err = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, err
        return int(out.splitlines()[-1].split()[0])


def test_connections_that_grow_old_cost_no_call(compiled, start, tmp_path):
    """The daemon ends each connection of gRPC after a while (GOAWAY); the handoff socket, and so the memory, stays."""
    d = start("http2.max_age_ms=20", models=["identity"])
    client = Busy(compiled, d.directory, tmp_path)
    client.go_on("moved", 4)
    client.go_on()
    assert client.end() == 0


def test_a_daemon_whose_place_another_one_takes_costs_no_call(compiled, start, successors, tmp_path):  # noqa: F811
    """What is open ends; what is told that its memory is gone was not begun."""
    d = start(models=["identity"])
    client = Busy(compiled, d.directory, tmp_path)
    pid = upgrade(d, successors)
    client.go_on("stale", 1)
    client.go_on()
    assert 1 <= client.end() <= 16
    end(pid)
