"""NVIDIA's perf_analyzer, unchanged: concurrency, request rate and streams, with and without shared memory. It is there after
scripts/get-perf-analyzer."""
import os
import subprocess

import pytest

import messages as m
from test_kserve_examples import REPOSITORY

PROGRAM = os.path.join(m.ROOT, "build", "perf_analyzer", "run")
MODES = {
    "concurrency": ["-m", "simple", "--concurrency-range", "2"],
    "request rate": ["-m", "simple", "--request-rate-range", "50"],
    "streaming": ["-m", "repeat_int32", "--streaming", "--shape", "IN:1", "--shape", "DELAY:1", "--input-data", "zero"],
    "system shared memory": ["-m", "simple", "--shared-memory", "system"],
    "a large tensor": ["-m", "custom_zero_1_float32", "--shape", "INPUT0:4194304"],
    "a large tensor in shared memory": ["-m", "custom_zero_1_float32", "--shape", "INPUT0:4194304", "--shared-memory",
                                        "system", "--output-shared-memory-size", "16777216"],
}


@pytest.fixture(scope="module")
def daemon(start_once):
    return start_once("models.serve=*", "models.default=", repository=REPOSITORY)


@pytest.mark.skipif(not os.path.exists(PROGRAM), reason="scripts/get-perf-analyzer has not been run")
@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_perf_analyzer(daemon, mode):
    """It ends well, and says what it measured; whether that is stable is the machine's affair."""
    done = subprocess.run([PROGRAM, "-u", daemon.tcp, "-i", "grpc", "--measurement-mode", "count_windows",
                           "--measurement-request-count", "20", "-r", "3", "-s", "10000", *MODES[mode]],
                          capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Throughput: " in done.stdout and "Inferences/Second vs. Client" in done.stdout, done.stdout
