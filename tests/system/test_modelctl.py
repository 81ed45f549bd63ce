"""modelctl: what an administrator types, what scripts read, and the exit codes."""
import fcntl
import glob
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import zlib

import numpy as np
import pytest

import messages as m
from daemon import MODELCTL, ROOT, wait_for
from namespaces import mount, needs_namespaces, own_mounts, own_network

OK, FAILED, UNREACHABLE, USAGE = 0, 1, 2, 64
CONF_MODELS = os.path.join(m.ROOT, "conf", "models")
SAMPLES = sorted(glob.glob(os.path.join(m.ROOT, "conf", "samples", "digits", "*.pgm")))


def run(*args, **kw):
    return subprocess.run([MODELCTL, *map(str, args)], capture_output=True, text=True, timeout=60, **kw)


@pytest.fixture(scope="module")
def digits(start_once):
    return start_once(repository=CONF_MODELS)


def infer_json(d, *args):
    done = d.modelctl("infer", *map(str, args), "--json")
    assert done.returncode == OK, done.stderr
    return json.loads(done.stdout)["outputs"][0]


# --- the command line ------------------------------------------------------------------------------


def test_help_and_version():
    for args in (["--help"], ["-h"], ["help"]):
        done = run(*args)
        assert done.returncode == OK and "usage: modelctl" in done.stdout
        for command in ("status", "health", "infer", "wait-ready", "models", "stats", "config", "bench"):
            assert re.search(rf"^  {command} ", done.stdout, re.M)
    assert re.fullmatch(r"modelctl \d+\.\d+\.\d+\n", run("--version").stdout)


def widest(text):
    return max(len(line) for line in text.splitlines())


COMMANDS = ["status", "health", "infer", "wait-ready", "models", "stats", "config", "bench", "load", "unload", "reload", "completion",
            "top", "events", "logs"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command(command):
    done = run(command, "--help")
    assert done.returncode == OK and f"usage: modelctl {command}" in done.stdout and not done.stderr
    assert widest(done.stdout) <= 80 and widest(run("--help").stdout) <= 80


def options_of(command):
    """Those that it takes, as getopt lists them where a name fits them all, without those of every command."""
    said = run(command, "--=").stderr
    assert "is ambiguous; possibilities:" in said
    return set(re.findall(r"'(--[a-z-]+)'", said)) - {"--address", "--timeout", "--json", "--format", "--help"}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_the_options_that_are_taken(command):
    named = re.findall(r"^  (?:-[a-z0-9], )? *(--[a-z-]+)", run(command, "--help").stdout, re.M)
    assert sorted(named) == sorted(options_of(command))


@pytest.mark.parametrize("args", [[], ["nosuch"], ["status", "--nosuch"], ["health", "a", "b"], ["infer"],
                                  ["infer", "identity", "--fill", "1", "--input", "x"],
                                  ["infer", "identity", "--fill", "1", "--dtype", "complex"],
                                  ["infer", "identity", "--fill", "1", "--shape", "1,x"],
                                  ["infer", "a", "b", "--fill", "1"], ["infer", "--fill", "1", "-p", "novalue"],
                                  ["status", "--timeout", "never"], ["status", "--timeout", "0"],
                                  ["wait-ready", "--nosuch"], ["config"], ["bench"], ["bench", "m", "-c", "0"], ["bench", "m", "-s", "x"], ["models", "a"], ["stats", "a", "b"],
                                  ["logs", "a"], ["events", "-n", "0"], ["top", "a"], ["top", "-i", "0"], ["top", "-o", "json"]])
def test_usage_errors(args):
    done = run(*args)
    assert done.returncode == USAGE and done.stderr and not done.stdout


def test_a_command_that_there_is_not():
    done = run("serve")
    assert done.returncode == USAGE and done.stderr == "modelctl: unknown command 'serve'\nTry 'modelctl --help'.\n"


def test_a_worker_without_a_process(start, tmp_path):
    (tmp_path / "m" / "1").mkdir(parents=True)
    (tmp_path / "m" / "1" / "model.py").touch()
    d = start("backend.python.interpreter=/bin/false", repository=str(tmp_path), models=["m"])
    wait_for("the time between two starts", lambda: re.search(r"own-0 +\w+ +no process, \d+ restarts?, next start in ", d.modelctl("status").stdout))


@pytest.mark.parametrize("args", [["status"], ["health"], ["health", "--watch"], ["infer", "--fill", "1"],
                                  ["wait-ready", "--timeout", "0.2"]])
@pytest.mark.parametrize("address", ["127.0.0.1:1", "unix:/nonexistent/modeld.sock"])
def test_nobody_there(args, address):
    done = run(*args, "--address", address)
    assert done.returncode == UNREACHABLE
    assert done.stderr.startswith("modelctl: ") and address.removeprefix("unix:") in done.stderr


@pytest.mark.parametrize("address, said", [
    ("localhost", "(the port is missing)"), ("::1:50052", "(an IPv6 address is in brackets: [::1]:50052)"),
    ("/run/modeld/modeld.sock", "(a path has unix: in front)"), ("http://127.0.0.1:50052", "(without what is in front of ://)")])
def test_what_is_meant_by_no_address(address, said):
    done = run("status", "-a", address)
    assert done.returncode == USAGE and f"'{address}' is no address" in done.stderr and said in done.stderr


def test_where_a_wrong_address_comes_from():
    for address, code in ("localhost", USAGE), ("127.0.0.1:1", UNREACHABLE):
        done = run("status", env=dict(os.environ, MODELD_ADDRESS=address))
        assert done.returncode == code and "($MODELD_ADDRESS names it)" in done.stderr, done.stderr


def to_where_nobody_is():
    own_mounts()
    mount("none", "/run", "tmpfs", 0)
    own_network()


@needs_namespaces
def test_nobody_at_the_usual_places():
    """Where it looked is said, and what to do."""
    done = run("status", env=dict(os.environ, MODELD_ADDRESS="", XDG_RUNTIME_DIR="/nowhere"), preexec_fn=to_where_nobody_is)
    assert done.returncode == UNREACHABLE
    for said in ("127.0.0.1:50052", "unix:/nowhere/modeld/modeld.sock, unix:/run/modeld/modeld.sock", "is modeld running?", "--address"):
        assert said in done.stderr, done.stderr


def test_a_server_that_speaks_something_else():
    with socket.create_server(("127.0.0.1", 0)) as s:
        client = subprocess.Popen([MODELCTL, "status", "-t", "20", "-a", f"127.0.0.1:{s.getsockname()[1]}"],
                                  stderr=subprocess.PIPE, text=True)
        peer, _ = s.accept()
        peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        peer.close()
        assert client.wait(60) in (FAILED, UNREACHABLE) and client.stderr.read().startswith("modelctl: ")


def test_address_from_the_environment(digits):
    env = dict(os.environ, MODELD_ADDRESS=digits.unix)
    assert run("health", env=env).returncode == OK
    assert run("health", "-a", "127.0.0.1:1", env=env).returncode == UNREACHABLE


def test_who_says_nothing_finds_the_users_daemon(start, tmp_path):
    """modelctl and the client in Python, by the order of src/base/places.h."""
    env = {"XDG_RUNTIME_DIR": str(tmp_path), "RUNTIME_DIRECTORY": "", "MODELD_ADDRESS": ""}
    d = start("server.runtime_dir=auto", models=["identity"], env=env)
    done = run("status", "--json", env=dict(os.environ, **env))
    assert done.returncode == OK and json.loads(done.stdout)["pid"] == d.pid, done.stderr
    assert run("wait-ready", env=dict(os.environ, **env)).returncode == OK
    program = "import modeld, sys; c = modeld.connect(); print(c.address, c.uses_shared_memory, *c.models())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120,
                          env=dict(os.environ, PYTHONPATH=os.path.join(ROOT, "clients", "python"), **env))
    assert done.stdout.split() == [f"unix:{tmp_path}/modeld/modeld.sock", "True", "identity"], done.stderr


def test_clients_of_both_languages_look_in_the_same_places():
    header = open(os.path.join(ROOT, "src", "base", "places.h"), encoding="utf-8").read()
    mirror = open(os.path.join(ROOT, "clients", "python", "modeld", "_places.py"), encoding="utf-8").read()
    said = dict(re.findall(r'#define PLACES_(\w+)\s+"([^"]+)"', header))
    assert said == dict(re.findall(r'^(\w+) = "([^"]+)"', mirror, re.M)) and len(said) == 6


def test_a_handoff_socket_is_told_apart(digits):
    done = run("status", "-a", f"unix:{digits.directory}/handoff.sock")
    assert done.returncode == UNREACHABLE and "is it the handoff socket?" in done.stderr


def test_options_before_the_command(digits):
    done = run("-t", "20", "--format", "json", "-a", digits.tcp, "status")
    assert done.returncode == OK and json.loads(done.stdout)["pid"] == digits.pid
    done = run("-o", "json", "-a", "127.0.0.1:1", "infer", "identity", "-f", "1", "-d", "u8", "-s", "2", "-a", digits.tcp)
    assert done.returncode == OK and json.loads(done.stdout)["outputs"][0]["shape"] == [2]
    for wrong in (["-o", "yaml", "status"], ["status", "-o", "yaml"], ["--nonsense", "status"], ["status", "-a", "foo"], ["-t"]):
        assert run(*wrong).returncode == USAGE, wrong


def test_formats(digits):
    assert "sandbox" not in digits.modelctl("status", "-o", "table").stdout
    wide = digits.modelctl("status", "-o", "wide").stdout
    assert "cpu:0/0" in wide and "  sandbox " in wide
    assert json.loads(digits.modelctl("models", "-o", "json").stdout)["models"]


def test_eighty_columns_are_enough(digits):
    for command in (["status"], ["status", "digits"], ["models"], ["stats"], ["health"]):
        done = digits.modelctl(*command)
        assert done.returncode == OK and widest(done.stdout) <= 80, done.stdout
    folded, wide = digits.modelctl("status").stdout, digits.modelctl("status", "-o", "wide").stdout
    assert widest(wide) > 80 and "OUTPUT1 i32[-1,16]" in " ".join(folded.split())


def test_completion(digits):
    def complete(*words):
        script = f". <({MODELCTL} completion); COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _modelctl; " \
                 "echo ${COMPREPLY[@]}"
        env = dict(os.environ, PATH=os.path.dirname(MODELCTL) + ":" + os.environ["PATH"], MODELD_ADDRESS=digits.tcp)
        return subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, env=env).stdout.split()

    assert sorted(complete("modelctl", "sta")) == ["stats", "status"]
    assert complete("modelctl", "-t", "5", "status", "dig") == ["digits"]
    assert complete("modelctl", "-o", "w") == ["wide"]
    assert set(complete("modelctl", "infer", "--")) >= {"--input", "--shape", "--address", "--format"}
    assert set(complete("modelctl", "status", "--")) >= {"--watch", "--json"}


# --- status and health -------------------------------------------------------------------------------


def test_status_of_a_model(digits):
    done = digits.modelctl("status", "simple")
    assert done.returncode == OK and "INPUT0" in done.stdout and "digits" not in done.stdout
    assert json.loads(digits.modelctl("status", "simple", "-o", "json").stdout)["name"] == "simple"
    done = digits.modelctl("status", "nonsense")
    assert done.returncode == FAILED and "no model 'nonsense'" in done.stderr


def test_status_that_is_watched(digits):
    with subprocess.Popen([MODELCTL, "status", "--watch", "-a", digits.tcp], stdout=subprocess.PIPE, text=True) as p:
        seen = 0
        for line in p.stdout:
            seen += line.startswith("modeld ")
            if seen == 2:
                break
        p.kill()
    assert seen == 2


def test_status(digits):
    done = digits.modelctl("status")
    assert done.returncode == OK
    for text in ("cpu:0/0", "ready", "digits", "identity", "simple", str(digits.pid)):
        assert text in done.stdout
    assert digits.modelctl("status", "a", "b").returncode == USAGE
    status = json.loads(digits.modelctl("status", "--json").stdout)
    assert status["pid"] == digits.pid and status["state"] == "serving"
    assert [w["name"] for w in status["workers"]] == ["cpu:0/0"]
    assert {x["name"]: x["state"] for x in status["models"]} == dict.fromkeys(("digits", "identity", "simple"), "ready")


def test_health(digits):
    for name in ([], ["digits"], ["grpc.health.v1.Health"]):
        done = digits.modelctl("health", *name)
        assert done.returncode == OK and "SERVING" in done.stdout and "NOT" not in done.stdout
    assert json.loads(digits.modelctl("health", "digits", "--json").stdout)["status"] == "SERVING"
    done = digits.modelctl("health", "nosuch")
    assert done.returncode == FAILED and "nosuch" in done.stderr and "NOT_FOUND" in done.stderr


def test_health_watch(start):
    d = start(models=["identity"])
    client = subprocess.Popen([MODELCTL, "health", "--watch", "--json", "-a", d.tcp], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
    assert json.loads(client.stdout.readline())["status"] == "SERVING"
    d.kill_a_worker()
    assert json.loads(client.stdout.readline())["status"] == "NOT_SERVING"
    assert json.loads(client.stdout.readline())["status"] == "SERVING"
    d.terminate()
    assert json.loads(client.stdout.readline())["status"] == "NOT_SERVING"
    assert client.wait(60) == FAILED and "shutting down" in client.stderr.read()
    d.wait_end()


def test_wait_ready_before_the_daemon_is_there(start, tmp_path):
    address = f"unix:{tmp_path}/later.sock"
    client = subprocess.Popen([MODELCTL, "wait-ready", "identity", "-a", address, "-t", "60"])
    wait_for("a first attempt", lambda: client.poll() is None and "S" in state(client.pid))
    start(models=["identity"], listen=f"127.0.0.1:0, {address}")
    assert client.wait(60) == OK


def state(pid):
    return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0]


def test_wait_ready_of_what_never_is(digits):
    done = digits.modelctl("wait-ready", "nosuch", "--timeout", "0.3")
    assert done.returncode == FAILED and "nosuch" in done.stderr and "not SERVING" in done.stderr
    assert digits.modelctl("wait-ready", "digits").returncode == OK


# --- infer -------------------------------------------------------------------------------------------


def test_infer_a_picture(digits):
    reply = infer_json(digits, "digits", "--input", SAMPLES[0])
    assert reply["name"] == "probabilities" and reply["datatype"] == "FP32" and reply["shape"] == [1, 10]
    assert int(np.argmax(reply["data"])) == int(SAMPLES[0][-5])
    # The default model, the other output, over the Unix socket.
    done = run("infer", "-i", SAMPLES[0], "-s", "1,8,8", "-p", "output=digit", "-a", digits.unix, "-j")
    assert json.loads(done.stdout)["outputs"][0]["data"] == [int(SAMPLES[0][-5])]


def png(path):
    """A picture of grey values, from a plain .pgm."""
    with open(path, "rb") as f:
        magic, width, height, _, *values = f.read().split()
    assert magic == b"P2"
    width, height = int(width), int(height)
    rows = b"".join(b"\0" + bytes(int(v) for v in values[i * width:(i + 1) * width]) for i in range(height))
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts)


def test_infer_a_png(digits, tmp_path):
    (tmp_path / "x.png").write_bytes(png(SAMPLES[0]))
    assert infer_json(digits, "digits", "--input", tmp_path / "x.png")["data"] == infer_json(
        digits, "digits", "--input", SAMPLES[0])["data"]


def test_infer_for_people(digits):
    done = digits.modelctl("infer", "digits", "--input", SAMPLES[0], "--shape", "8,8")
    assert done.returncode == OK
    first, values, second, digit, took = done.stdout.splitlines()
    assert first == "probabilities: f32[1,10], 40 bytes" and len(values.split()) == 10
    assert second == "digit: i64[1], 8 bytes" and digit == SAMPLES[0][-5] and took.startswith("took ")


@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8", "bool", "float16", "float64"])
def test_infer_npy(digits, tmp_path, dtype):
    array = (np.arange(6).reshape(2, 3) % 2).astype(dtype)
    np.save(tmp_path / "x.npy", array)
    reply = infer_json(digits, "identity", "--input", tmp_path / "x.npy", "--output", tmp_path / "out", "--output",
                       tmp_path / "out.npy")
    assert reply["shape"] == [2, 3]
    assert (tmp_path / "out").read_bytes() == array.tobytes()
    back = np.load(tmp_path / "out.npy")
    assert back.dtype == array.dtype and (back == array).all()
    assert [float(x) for x in reply["data"]] == array.flatten().astype(float).tolist()


def test_infer_raw_and_fill(digits, tmp_path):
    (tmp_path / "raw").write_bytes(bytes(range(8)))
    assert infer_json(digits, "identity", "-i", tmp_path / "raw", "-d", "u8", "-s", "2,4")["data"] == list(range(8))
    assert infer_json(digits, "identity", "-f", "ramp", "-d", "i32", "-s", "2,3")["data"] == [0, 1, 2, 3, 4, 5]
    assert infer_json(digits, "identity", "-f", "1.5", "-d", "f32", "-s", "3")["data"] == [1.5] * 3
    assert len(infer_json(digits, "digits", "-f", "0")["data"]) == 10
    assert infer_json(digits, "identity", "-f", "7", "-d", "bytes", "-s", "2")["data"] == ["7", "7"]


@pytest.fixture(scope="module")
def triton(start_once):
    return start_once(repository=os.path.join(m.ROOT, "tests", "models", "triton"), models=["simple", "simple_string"])


A, B = np.arange(16, dtype="i4").reshape(1, 16), np.full((1, 16), 3, dtype="i4")


def sums(d, *args, **kw):
    done = run("infer", "simple", *args, "-a", d.tcp, "-o", "json", **kw)
    assert done.returncode == OK, done.stderr
    return {x["name"]: x["data"] for x in json.loads(done.stdout)["outputs"]}


def test_infer_with_two_inputs(triton, tmp_path):
    """The same two inputs as files, as archives of both kinds, as JSON of both kinds, and from standard input."""
    expected = {"OUTPUT0": (A + B).flatten().tolist(), "OUTPUT1": (A - B).flatten().tolist()}
    np.save(tmp_path / "a.npy", A)
    np.save(tmp_path / "b.npy", B)
    np.savez(tmp_path / "both.npz", INPUT0=A, INPUT1=B)
    np.savez_compressed(tmp_path / "packed.npz", INPUT0=A, INPUT1=B)
    plain = {"INPUT0": A.tolist(), "INPUT1": B.tolist()}
    (tmp_path / "plain.json").write_text(json.dumps(plain))
    (tmp_path / "kserve.json").write_text(json.dumps({"inputs": [
        {"data": x.flatten().tolist(), "name": n, "datatype": "INT32", "shape": [1, 16]} for n, x in (("INPUT1", B), ("INPUT0", A))]}))
    (tmp_path / "row.json").write_text(json.dumps(B[0].tolist()))
    for args in (["-i", f"INPUT1={tmp_path}/b.npy", "-i", f"INPUT0={tmp_path}/a.npy"],
                 ["-i", tmp_path / "a.npy", "-i", tmp_path / "row.json"],
                 *(["-i", tmp_path / name] for name in ("both.npz", "packed.npz", "plain.json", "kserve.json"))):
        assert sums(triton, *args) == expected, args
    for content in (json.dumps(plain).encode(), (tmp_path / "packed.npz").read_bytes()):
        done = subprocess.run([MODELCTL, "infer", "simple", "-i", "-", "-a", triton.tcp, "-j"], input=content,
                              capture_output=True, timeout=60)
        assert done.returncode == OK and json.loads(done.stdout)["outputs"][0]["data"] == expected["OUTPUT0"], done.stderr


def test_infer_outputs_to_files(triton, tmp_path):
    done = triton.modelctl("infer", "simple", "-f", "ramp", "--output", f"{tmp_path}/all.npz", "--output",
                           f"OUTPUT1={tmp_path}/one.npy", "--output", f"OUTPUT0={tmp_path}/raw")
    assert done.returncode == OK, done.stderr
    with np.load(tmp_path / "all.npz") as z:
        assert sorted(z) == ["OUTPUT0", "OUTPUT1"] and (z["OUTPUT0"] == 2 * A).all()
    assert (np.load(tmp_path / "one.npy") == 0).all() and (tmp_path / "raw").read_bytes() == (2 * A).tobytes()
    done = triton.modelctl("infer", "simple", "-f", "0", "--output", f"NOTHING={tmp_path}/x")
    assert done.returncode == FAILED and "OUTPUT0, OUTPUT1" in done.stderr


def test_infer_texts(digits, triton, tmp_path):
    reply = infer_json(digits, "identity", "--text", "gr\u00fc\u00df dich\n", "-d", "bytes", "-s", "1")
    assert reply["datatype"] == "BYTES" and reply["data"] == ["gr\u00fc\u00df dich\n"]
    (tmp_path / "lines.txt").write_text("one\ntwo\n\nfour")
    assert infer_json(digits, "identity", "-i", tmp_path / "lines.txt")["data"] == ["one", "two", "", "four"]
    np.save(tmp_path / "s.npy", np.array(["a", "\u20ac", ""]))
    reply = infer_json(digits, "identity", "-i", tmp_path / "s.npy", "--output", tmp_path / "back.npy")
    assert reply["data"] == ["a", "\u20ac", ""] and np.load(tmp_path / "back.npy").tolist() == [b"a", "\u20ac".encode(), b""]
    (tmp_path / "n.json").write_text(json.dumps({"INPUT0": [[str(i) for i in range(16)]], "INPUT1": [["1"] * 16]}))
    reply = infer_json(triton, "simple_string", "-i", tmp_path / "n.json")
    assert reply["data"] == [str(i + 1) for i in range(16)]
    done = subprocess.run([MODELCTL, "infer", "identity", "-d", "bytes", "-i", "-", "-j", "-a", digits.tcp], input="a\nb\n",
                          capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout)["outputs"][0]["data"] == ["a", "b"], done.stderr


def ppm(w, h):
    return b"P6 %d %d 255\n" % (w, h) + bytes(i % 256 for i in range(3 * w * h))


@pytest.mark.parametrize("model, name, content, options, words", [
    ("identity", "x.json", "[1, 2, 300]", ["-d", "u8"], ["element 2", "300", "0 to 255"]),
    ("identity", "x.json", "[1, 2.5]", ["-d", "i32"], ["element 1", "2.5", "whole number"]),
    ("identity", "x.json", "[-1]", ["-d", "u64"], ["-1", "from 0 to"]),
    ("identity", "x.json", "[1e39]", ["-d", "f32"], ["1e39", "3.4e38"]),
    ("identity", "x.json", "[[1, 2], [3]]", ["-d", "f32"], ["no one shape"]),
    ("identity", "x.json", "[1, 2", ["-d", "f32"], ["malformed JSON"]),
    ("identity", "x.json", '["a"]', ["-d", "f32"], ["a text", "f32"]),
    ("identity", "x.json", "[1]", [], ["--dtype"]),
    ("identity", "x", "abcde", ["-d", "f32"], ["f32[1] is 4 bytes, there are 5"]),
    ("identity", "x", "abcd", ["-d", "u8", "-s", "3"], ["u8[3] is 3 bytes, there are 4"]),
    ("identity", "x.npz", "no archive", [], ["x.npz"]),
    ("digits", "x.ppm", ppm(8, 8), [], ["8 columns and 8 rows in 3 colours", "f32[-1,8,8]"]),
    ("digits", "x.pgm", b"P5 4 4 255\n" + bytes(16), [], ["4 columns and 4 rows", "f32[-1,8,8]"]),
    ("digits", "x.png", b"\x89PNG", [], ["x.png is no PNG or JPEG picture"]),
    ("digits", "x.gif", b"GIF89a", [], ["pictures are read as .pgm, .ppm, .png and .jpg"]),
    ("digits", "x.bin", bytes(255), [], ["f32[1,8,8] is 256 bytes"]),
    ("digits", "x.npy", np.zeros((2, 4, 16), "f4"), [], ["f32[2,4,16]", "f32[-1,8,8]"]),
    ("digits", "x.npy", np.zeros((1, 8, 8), "i8"), [], ["i64", "f32"]),
    ("digits", "x.npy", np.zeros((1, 8, 8), "i8"), ["-d", "f32"], ["i64", "f32"]),
    ("digits", "x.npz", {"picture": np.zeros(1)}, [], ["'picture'", "image"]),
])
def test_infer_refuses_what_does_not_fit(digits, tmp_path, model, name, content, options, words):
    path = tmp_path / name
    if isinstance(content, np.ndarray):
        np.save(path, content)
    elif isinstance(content, dict):
        np.savez(path, **content)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    done = digits.modelctl("infer", model, "--input", str(path), *options)
    assert done.returncode == FAILED and done.stderr.startswith("modelctl: ") and not done.stdout
    assert all(word in done.stderr for word in words), done.stderr


@pytest.mark.parametrize("args, code, text", [
    (["nosuch", "-f", "1", "-d", "u8", "-s", "1"], FAILED, "nosuch"),
    (["digits", "-f", "1", "-d", "u8"], FAILED, "f32"),
    (["digits", "-f", "1", "-s", "3"], FAILED, "f32[-1,8,8]"),
    (["digits", "-i", "/nonexistent"], FAILED, "/nonexistent"),
    (["digits", "-i", "nothing=/dev/null"], FAILED, "no input 'nothing'; it has image"),
    (["digits", "-i", SAMPLES[0], "-i", SAMPLES[0]], FAILED, "only 1 input"),
    (["identity", "-f", "1"], USAGE, "--shape"),
    (["identity", "-f", "300", "-d", "u8", "-s", "2"], FAILED, "0 to 255"),
    (["simple", "-i", "INPUT0=/dev/null", "-s", "0,16"], FAILED, "INPUT1"),
    (["identity", "-f", "zero", "-d", "u8", "-s", "1"], USAGE, "--fill"),
    (["identity", "-f", "1", "-d", "u8", "-s", "1", "-o", "/nonexistent/x"], FAILED, "/nonexistent/x"),
])
def test_infer_errors(digits, args, code, text):
    done = digits.modelctl("infer", *args)
    assert done.returncode == code and text in done.stderr and done.stderr.startswith("modelctl: ")


def test_deadline(start):
    d = start(models=["sleep"])
    done = d.modelctl("infer", "sleep", "-f", "2000", "-d", "i32", "-s", "1", "--timeout", "0.2")
    assert done.returncode == FAILED and "DEADLINE_EXCEEDED" in done.stderr


# --- logs, events and top ------------------------------------------------------------------------------


def test_logs_and_events(start):
    d = start(models=["identity"])
    lines = [json.loads(x) for x in d.modelctl("logs", "-j").stdout.splitlines()]
    assert [x["number"] for x in lines] == list(range(1, len(lines) + 1))
    assert any(x["text"].startswith("ready ") and x["level"] == "info" for x in lines), lines
    done = d.modelctl("events", "-n", "1")
    assert done.returncode == OK and re.fullmatch(r"\d{4}-\d\d-\d\dT\S+Z info .*\n", done.stdout)
    with subprocess.Popen([MODELCTL, "events", "--follow", "-n", "1", "-a", d.tcp], stdout=subprocess.PIPE, text=True) as p:
        p.stdout.readline()
        d.kill_a_worker()
        for line in p.stdout:
            if " worker lost " in line:
                break
        assert " warning " in line and "worker=" in line
        p.kill()
    d.modelctl("health")
    assert all(" client=" not in x for x in d.modelctl("events").stdout.splitlines())


def test_no_lines_are_kept(start):
    d = start("server.log_keep_bytes=0", models=["identity"])
    done = d.modelctl("logs")
    assert done.returncode == FAILED and "log_keep_bytes" in done.stderr


def test_top_without_a_terminal(digits):
    digits.modelctl("infer", "digits", "--fill", "0")
    done = digits.modelctl("top", "--once", "--interval", "0.05")
    assert done.returncode == OK and widest(done.stdout) <= 80 and "\033" not in done.stdout, done.stderr
    for text in ("WORKER", "cpu:0/0", "MODEL", "digits", "identity", "requests ", "arena "):
        assert text in done.stdout
    with subprocess.Popen([MODELCTL, "top", "-i", "0.05", "-a", digits.tcp], stdout=subprocess.PIPE, text=True) as p:
        views = 0
        for line in p.stdout:
            views += line.startswith("modeld ")
            if views == 2:
                break
        p.kill()


class Terminal:
    """A program on a terminal of its own, what it wrote so far, and what became of the terminal."""

    def __init__(self, *args, term="xterm", rows=24, columns=80):
        self.master, slave = pty.openpty()
        self.slave = os.dup(slave)
        self.resize(rows, columns)
        self.before = termios.tcgetattr(slave)
        self.process = subprocess.Popen([MODELCTL, *args], stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        env=dict(os.environ, TERM=term))
        os.close(slave)
        self.text = ""

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read_until(self, what):
        """Always before the program is waited for: it waits for us when the terminal holds all that it can."""
        while what not in self.text:
            assert select.select([self.master], [], [], 120)[0], self.text
            self.text += os.read(self.master, 65536).decode()

    def end(self):
        """How it ended, and whether the terminal is as it was."""
        self.read_until("\033[?1049l")
        code = self.process.wait(120)
        same = termios.tcgetattr(self.slave) == self.before
        os.close(self.master)
        os.close(self.slave)
        return code, same


@pytest.mark.parametrize("end", ["q", "\003", signal.SIGTERM, signal.SIGHUP])
def test_top_gives_the_terminal_back(digits, end):
    t = Terminal("top", "-i", "0.05", "-a", digits.tcp)
    t.read_until("\033[?1049h")
    t.read_until("MODEL")
    if isinstance(end, str):
        os.write(t.master, end.encode()) if end == "q" else t.process.send_signal(signal.SIGINT)
    else:
        t.process.send_signal(end)
    assert t.end() == (OK, True) and "\033[?25h" in t.text


def test_top_follows_the_size(digits):
    t = Terminal("top", "-i", "60", "-a", digits.tcp, rows=4)
    t.read_until("WORKER")
    assert "MODEL" not in t.text, "there are only four rows"
    t.resize(24, 80)
    t.process.send_signal(signal.SIGWINCH)
    t.read_until("MODEL")
    os.write(t.master, b"q")
    assert t.end() == (OK, True)


def test_top_on_a_dumb_terminal(digits):
    t = Terminal("top", "-i", "0.05", "-a", digits.tcp, term="dumb")
    t.read_until("MODEL")
    t.process.kill()
    t.process.wait(60)
    os.close(t.master)
    os.close(t.slave)
    assert "\033" not in t.text


def test_top_says_why_it_ends(start):
    d = start(models=["identity"])
    t = Terminal("top", "-i", "0.05", "-t", "5", "-a", d.tcp)
    t.read_until("MODEL")
    d.terminate()
    code, same = t.end()
    assert code in (FAILED, UNREACHABLE) and same
    d.wait_end()


# --- models, stats, config ---------------------------------------------------------------------------


def test_models_stats_and_config(digits):
    done = digits.modelctl("models")
    assert done.returncode == OK and re.search(r"^digits +1 +READY", done.stdout, re.M)
    assert digits.modelctl("infer", "digits", "--fill", "0").returncode == OK
    done = digits.modelctl("stats", "digits")
    assert done.returncode == OK and re.search(r"^digits +1 +[1-9]", done.stdout, re.M)
    stats = json.loads(digits.modelctl("stats", "--json").stdout)["model_stats"]
    assert any(s["name"] == "digits" and s["inference_stats"]["success"]["count"] >= 1 for s in stats)
    config = json.loads(digits.modelctl("config", "digits:1").stdout)
    assert config["name"] == "digits" and config["input"][0]["data_type"] == "TYPE_FP32"
    assert "sequence_batching" not in config, "what is not chosen of several is left out"
    done = digits.modelctl("config", "nothing")
    assert done.returncode == FAILED and "Request for unknown model: 'nothing' is not found" in done.stderr


def test_bench_counts_from_when_a_request_was_due(start):
    """More are due than one at a time can be answered: the last one asked has waited for nearly all of the time."""
    d = start(models=["identity"])
    done = d.modelctl("bench", "identity", "-c", "1", "--rate", "500000", "-s", "1", "--json")
    said = json.loads(done.stdout)
    assert done.returncode == OK and said["requests"] + said["unasked"] == 500000
    assert said["unasked"] > 0 and said["latency_us"]["max"] > 100_000


def inline_bytes(d):
    return json.loads(d.modelctl("status", "--json").stdout)["tensor_bytes_received"]


def test_bench(start):
    d = start(models=["simple", "identity"], repository=os.path.join(m.ROOT, "tests", "models", "triton"))
    done = d.modelctl("bench", "simple", "-c", "4", "-s", "1", "--json")
    assert done.returncode == OK, done.stderr
    said = json.loads(done.stdout)
    assert said["requests"] >= 4 and said["failed"] == 0 and said["requests_per_second"] > 0
    latency = said["latency_us"]
    assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["p99.9"] <= latency["max"]
    done = d.modelctl("bench", "identity", "-s", "1", "-d", "1000")
    assert done.returncode == OK and re.search(r"^\d+ requests in .* 1 at a time", done.stdout)
    done = d.modelctl("bench", "identity", "-s", "1", "--rate", "50", "--json")
    said = json.loads(done.stdout)
    assert done.returncode == OK and (said["rate"], said["concurrency"]) == (50, 64)
    assert 0 < said["requests"] <= 50 and said["requests"] + said["unasked"] == 50
    for model in ("simple", "identity"):
        before = inline_bytes(d)
        done = d.modelctl("bench", model, "--shm", "-c", "3", "-s", "1", "-d", "1000", "--json")
        said = json.loads(done.stdout)
        assert done.returncode == OK and said["requests"] >= 3 and said["failed"] == 0, done.stderr
        assert said["shared_memory"] and not glob.glob("/dev/shm/modelctl-bench-*")
        assert inline_bytes(d) - before <= 4000, "but for the first, by which outputs are known, inputs are in shared memory"
    done = d.modelctl("bench", "nothing")
    assert done.returncode == FAILED and "unknown model" in done.stderr
