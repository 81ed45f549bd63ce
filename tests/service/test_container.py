"""The container image without an engine: the root that its file makes, run as process 1, read-only, without rights."""
import os
import re
import shutil
import signal
import socket
import subprocess

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CONTAINER = os.path.join(ROOT, "conf", "container")
MOST_MIB = 60  # without ONNX Runtime

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("setpriv"),
                                reason="needs root, unshare and setpriv")


def run(*argv, **kw):
    done = subprocess.run(argv, capture_output=True, text=True, **kw)
    assert done.returncode == 0, f"{argv}\n{(done.stdout + done.stderr)[-6000:]}"
    return done.stdout


def image_root(path, *variables):
    run(os.path.join(ROOT, "scripts", "image-root"), str(path), *variables)
    return str(path)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """World-readable: who runs in it is nobody here."""
    path = tmp_path_factory.mktemp("image")
    for directory in (path, path.parent, path.parent.parent):
        os.chmod(directory, 0o755)
    return image_root(path / "root")


def containerfile():
    with open(os.path.join(CONTAINER, "Containerfile")) as f:
        return f.read()


def entrypoint():
    return re.findall(r'"([^"]+)"', re.search(r"^ENTRYPOINT (\[.*\])$", containerfile(), re.M).group(1))


# What an engine does: namespaces, nothing to be written but the runtime directory, no way to more rights.
INSIDE = """
root=$0
mount --bind "$root" "$root"
mount -t tmpfs -o mode=1777 tmpfs "$root/run/modeld"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -o remount,bind,ro "$root"
exec setpriv --no-new-privs chroot --userspec=65532:65532 --groups= "$root" "$@"
"""


def start(root, environment, *command):
    """As process 1 of its namespace, and with an environment of its own."""
    inside = ["unshare", "--mount", "--pid", "--fork", "--ipc", "--uts", "--kill-child", "bash", "-ec", INSIDE, root]
    return subprocess.Popen(inside + (list(command) or entrypoint()), env=dict(environment, PATH=os.environ["PATH"]),
                            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def child_of(process):
    """The daemon, as this host numbers it: unshare waits for it."""
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as f:
        return int(f.read().split()[0])


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


@pytest.fixture
def container(image):
    running = []

    def begin(**environment):
        port = free_port()
        process = start(image, dict({"PORT": str(port), "METRICS_PORT": str(free_port())}, **environment))
        running.append(process)
        return process, f"127.0.0.1:{port}"

    yield begin
    for process in running:
        process.kill()
        process.wait()
        process.stderr.close()


def modelctl(image, *args):
    return run("chroot", image, "/usr/bin/modelctl", *args)


def test_how_large_it_is(tmp_path):
    root = image_root(tmp_path / "root", "ONNXRUNTIME=")
    size = sum(os.lstat(os.path.join(at, name)).st_size for at, _, names in os.walk(root) for name in names)
    assert size < MOST_MIB << 20


def test_what_is_not_in_it(image):
    names = {name for at, _, names in os.walk(image) for name in names}
    assert not names & {"sh", "bash", "busybox", "apt-get", "dpkg", "su", "mount"}
    for at, directories, names in os.walk(image):
        for name in names:
            path = os.path.join(at, name)
            assert os.path.islink(path) or not os.stat(path).st_mode & 0o6022, path


def test_a_directory_that_is_not_empty_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("")
    done = subprocess.run([os.path.join(ROOT, "scripts", "image-root"), str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 1 and "is not empty" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_serves_as_process_1(image, container):
    process, address = container(MODEL_ID="digits", DEVICE="cpu:0 x2")
    modelctl(image, "wait-ready", "--address", address, "--timeout", "60")
    modelctl(image, "infer", "--fill", "0", "--shape", "8,8", "--dtype", "f32", "--address", address)
    health = re.findall(r'"([^"]+)"', re.search(r"HEALTHCHECK .*CMD (\[.*\])", containerfile()).group(1))
    run("chroot", image, *health, "--address", address)
    with open(f"/proc/{child_of(process)}/status") as f:
        said = f.read()
    assert "\nUid:\t65532\t65532\t65532\t65532\n" in said
    assert re.search(r"^NSpid:\t\d+\t1$", said, re.M) and "CapEff:\t0000000000000000" in said
    status = modelctl(image, "status", "--address", address)
    assert status.count("cpu:0") >= 2
    os.kill(child_of(process), signal.SIGTERM)
    assert process.wait(60) == 0


def test_what_its_environment_says_wrongly(image, container):
    process, _ = container(DEVICE="tpu:0")
    assert process.wait(60) == 78
    said = process.stderr.read()
    assert "/etc/modeld/modeld.conf:" in said and "[worker] workers: entry 1, 'tpu:0', is no device" in said


def test_the_containerfile_and_the_compose_file():
    """Whatever they take from the sources is there, and the image has what they name."""
    text = containerfile()
    assert re.search(r"^FROM scratch$", text, re.M) and re.search(r"^USER 65532:65532$", text, re.M)
    assert "scripts/image-root /image" in text and "COPY --from=build /image /" in text
    yaml = pytest.importorskip("yaml")
    with open(os.path.join(CONTAINER, "compose.yaml")) as f:
        service = yaml.safe_load(f)["services"]["modeld"]
    assert os.path.samefile(os.path.join(CONTAINER, service["build"]["context"]), ROOT)
    assert os.path.exists(os.path.join(ROOT, service["build"]["dockerfile"]))
    assert service["read_only"] and service["cap_drop"] == ["ALL"]
    with open(os.path.join(CONTAINER, "modeld.conf")) as f:
        known = set(re.findall(r"\$\{(\w+)", f.read()))
    assert set(service["environment"]) <= known and {"MODEL_ID", "DEVICE"} <= set(service["environment"])
