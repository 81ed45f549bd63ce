"""modelctl where something ends in the middle: the daemon, a connection, or whoever reads what is printed."""
import json
import os
import signal
import subprocess
from concurrent import futures

import grpc
import pytest

import messages as m
from daemon import MODELCTL, wait_for

OK, FAILED, UNREACHABLE = 0, 1, 2
COMMANDS = [["status"], ["status", "--json"], ["models"], ["stats"], ["config", "identity"], ["logs"], ["events"], ["top", "--once", "-i", "0.05"],
            ["health"], ["infer", "identity", "--fill", "1", "--shape", "20000"], ["infer", "identity", "--fill", "1", "--shape", "9", "-o", "-"],
            ["bench", "identity", "-s", "1"], ["--help"], ["--version"], ["infer", "--help"]]


def closed(fd):
    return lambda: os.close(fd)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_nothing_can_be_written(daemon, command):
    """It says so, and writes to nothing else: a connection that is opened does not become standard output."""
    environment = dict(os.environ, MODELD_ADDRESS=daemon.unix)
    with open("/dev/full", "w") as full:
        for kw, words in (({"stdout": full}, "No space left"), ({"preexec_fn": closed(1)}, "Bad file descriptor")):
            done = subprocess.run([MODELCTL, *command], stderr=subprocess.PIPE, text=True, timeout=120, env=environment, **kw)
            assert done.returncode == FAILED and "cannot write" in done.stderr and words in done.stderr


@pytest.mark.parametrize("fd", [0, 2])
def test_other_descriptors_that_are_closed(daemon, fd):
    done = subprocess.run([MODELCTL, "status", "--json", "-a", daemon.unix], stdout=subprocess.PIPE, text=True, timeout=120,
                          preexec_fn=closed(fd))
    assert done.returncode == OK and json.loads(done.stdout)["models"]


def test_whoever_reads_goes(daemon):
    """As of any other program: it ends, without a word."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([MODELCTL, "logs", "-a", daemon.unix], stdout=writer, stderr=subprocess.PIPE, timeout=120)
    os.close(writer)
    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, b"")


def test_bench_tells_what_it_measured_before_the_daemon_went(start):
    d = start(models=["identity"])
    with subprocess.Popen([MODELCTL, "bench", "identity", "-s", "100", "--json", "-a", d.unix], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as p:
        wait_for("requests", lambda: d.status().requests_total > 100)
        d.process.kill()
        d.process.wait()
        d.checked = True
        out, err = p.communicate(timeout=120)
    assert p.returncode == UNREACHABLE and "cannot connect to " + d.unix in err
    said = json.loads(out)
    assert said["requests"] > 50 and said["seconds"] < 100


def test_bench_goes_on_where_connections_grow_old(start):
    d = start("http2.max_age_ms=20", models=["identity"])
    for options in ([], ["--rate", "200"], ["--shm"]):
        done = d.modelctl("bench", "identity", "-c", "4", "-s", "1", "--json", *options)
        assert done.returncode == OK and json.loads(done.stdout)["failed"] == 0, done.stderr


def test_logs_go_on_where_connections_grow_old(start):
    d = start("http2.max_age_ms=20", models=["identity"])
    with subprocess.Popen([MODELCTL, "events", "--follow", "-n", "1", "-a", d.unix], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as p:
        for _ in range(3):
            ended = d.log().count("connection ended")
            wait_for("the end of its connection", lambda: d.log().count("connection ended") > ended or p.poll() is not None)
            d.kill_a_worker()
            for line in p.stdout:
                if " worker lost " in line:
                    break
            else:
                pytest.fail(p.stderr.read())
        p.kill()


@pytest.fixture
def talkative():
    """The address of a daemon that logs a line for each time its log is read, as one that logs all connections does where each call
    has its own."""
    lines = []

    def get_log(request, _):
        lines.append(m.control.LogLine(number=len(lines) + 1, time_unix_ns=1, level="info", text="log was read"))
        return m.control.LogResponse(lines=lines[request.after:], last=len(lines))

    method = grpc.unary_unary_rpc_method_handler(
        get_log, request_deserializer=m.control.LogRequest.FromString, response_serializer=m.control.LogResponse.SerializeToString)
    server = grpc.server(futures.ThreadPoolExecutor(1), [
        grpc.method_handlers_generic_handler("modeld.control.v1.Control", {"GetLog": method})])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None)


@pytest.mark.parametrize("options, n", [([], 1), (["-n", "1"], 2), (["-n", "9"], 2)])
def test_logs_end_though_reading_them_makes_lines(talkative, options, n):
    """With -n it is read twice: what is there is counted first."""
    done = subprocess.run([MODELCTL, "logs", "-a", talkative, *options], stdout=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == OK and done.stdout.count("log was read") == n


@pytest.mark.parametrize("command", [["logs", "--follow"], ["top", "-i", "0.05"], ["health", "--watch"], ["status", "--watch"]], ids=" ".join)
def test_the_daemon_goes(start, command):
    d = start(models=["identity"])
    with subprocess.Popen([MODELCTL, *command, "-a", d.unix], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as p:
        assert p.stdout.readline()
        d.process.kill()
        d.process.wait()
        d.checked = True
        _, err = p.communicate(timeout=120)
    assert p.returncode in (FAILED, UNREACHABLE) and err.startswith("modelctl: "), err
    assert d.unix in err or "connection lost" in err
