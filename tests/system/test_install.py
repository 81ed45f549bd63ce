"""`make install`, run from where it lands; and a backend of a user's own, built out of tree against what is installed."""
import os
import pathlib
import re
import shutil
import struct
import stat
import subprocess
import sys
import tarfile
import tempfile

import grpc
import pytest

import daemon as daemon_module
import messages as m
from daemon import BUILD, ROOT, as_user, starting, wait_for

# With others that run make in the same build directory.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("make")]


def make(*args):
    done = subprocess.run(["make", "--no-print-directory", f"BUILD={BUILD}", *args], cwd=ROOT, capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def prefix():
    """Installed as a user would without root: PREFIX is where it is used. Whoever runs it may read it there: directories of
    pytest's each pytest closes anew that begins on this host."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="modeld-prefix-", dir="/tmp"))
    path.chmod(0o755)
    try:
        make("install", f"PREFIX={path}")
        yield path
    finally:
        shutil.rmtree(path)


@pytest.fixture
def installed(prefix, monkeypatch):
    """start(...) with the installed program."""
    monkeypatch.setattr(daemon_module, "BUILD", str(prefix / "bin"))
    with starting(config=str(prefix / "etc" / "modeld" / "modeld.conf")) as begin:
        yield begin


def files_below(path):
    return {os.path.relpath(os.path.join(at, f), path) for at, _, names in os.walk(path) for f in names}


def test_what_is_installed(prefix):
    files = files_below(prefix)
    assert {"bin/modeld", "bin/modelctl", "libexec/modeld/modeld-worker", "include/modeld/backend.h",
            "libexec/modeld/modeld-python", "libexec/modeld/modeld-take-over", "bin/modeld-setup-onnxruntime",
            "share/modeld/proto/model_worker.proto", "share/modeld/proto/kserve/grpc_service.proto", "lib/modeld/python/modeld_worker/main.py",
            "lib/modeld/backends/onnxruntime.so", "share/modeld/models/digits/1/model.onnx",
            "etc/modeld/modeld.conf", "lib/systemd/system/modeld.service", "share/man/man1/modelctl.1",
            "share/man/man5/modeld.conf.5", "share/man/man8/modeld.8", "share/man/man8/modeld-worker.8"} <= files
    unit = (prefix / "lib" / "systemd" / "system" / "modeld.service").read_text()
    assert f"ExecStart={prefix}/bin/modeld --config {prefix}/etc/modeld/modeld.conf\n" in unit
    assert "@PREFIX@" not in unit and "@SYSCONFDIR@" not in unit
    built = os.path.isdir(os.path.join(ROOT, "build", "modeld-python-native"))
    assert ("lib/modeld/python/modeld_worker/_native.abi3.so" in files) == built
    for name in ("bin/modeld", "bin/modelctl", "libexec/modeld/modeld-worker", "libexec/modeld/modeld-python"):
        assert os.access(prefix / name, os.X_OK)
    said = subprocess.run([prefix / "libexec/modeld/modeld-python", "--version"], capture_output=True, text=True)
    assert said.returncode == 0 and said.stdout.startswith("modeld-python "), said.stderr
    linked = subprocess.run(["ldd", prefix / "bin" / "modeld"], capture_output=True, text=True).stdout
    assert "not found" not in linked and ROOT not in linked


def test_without_config_the_installed_one_is_read(prefix):
    conf = prefix / "etc" / "modeld" / "modeld.conf"
    said = subprocess.run([prefix / "bin" / "modeld", "--check"], capture_output=True, text=True)
    assert f"the installed configuration is read file={conf}\n" in said.stderr, said.stderr
    assert f"\nrepository = {prefix}/share/modeld/models\n" in said.stdout
    away = conf.rename(conf.with_suffix(".away"))
    try:
        said = subprocess.run([prefix / "bin" / "modeld", "--check"], capture_output=True, text=True)
    finally:
        away.rename(conf)
    assert said.returncode == 64 and f"there is no {conf}\n" in said.stderr and "--config FILE or" in said.stderr


def test_the_manual_has_every_key(prefix):
    page = (prefix / "share" / "man" / "man5" / "modeld.conf.5").read_text().replace("\\-", "-")
    section = None
    for line in open(os.path.join(ROOT, "conf", "modeld.conf"), encoding="utf-8"):
        if line.startswith("["):
            section = page.index(f".SH {line}")
        elif re.match("[a-z]", line):
            assert f".B {line}" in page[section:], line


def test_the_manuals_name_every_option_and_command(prefix):
    for program, page, words in (("modeld", "man8/modeld.8", r"--[a-z-]+"), ("modelctl", "man1/modelctl.1", r"^  ([a-z][a-z-]+)  ")):
        text = (prefix / "share" / "man" / page).read_text().replace("\\-", "-")
        said = subprocess.run([prefix / "bin" / program, "--help"], capture_output=True, text=True).stdout
        found = re.findall(words, said, re.M)
        assert len(found) > 3
        for word in found:
            assert word in text, f"{page}: {word}"


def test_an_archive_of_it(prefix):
    archive = make("tarball").splitlines()[-1]
    with tarfile.open(os.path.join(ROOT, archive)) as t:
        members = {x.name: x for x in t.getmembers()}
    assert {"./usr/local/bin/modeld", "./usr/local/libexec/modeld/modeld-worker", "./usr/local/etc/modeld/modeld.conf",
            "./usr/local/share/man/man5/modeld.conf.5"} <= set(members)
    assert all(x.uid == 0 and x.gid == 0 for x in members.values())


def test_it_serves_from_there(installed, prefix):
    d = installed(repository=str(prefix / "share" / "modeld" / "models"))
    wait_for("the models", lambda: d.check_health() == m.SERVING)
    assert {x.name for x in d.status().models} == {"digits", "identity", "simple"}
    assert d.infer("", struct.pack("<64f", *range(64)), [1, 8, 8], "f32").tensor_data.dtype == "f32"
    worker = os.readlink(f"/proc/{d.workers()[0]}/exe")
    assert worker == str(prefix / "libexec" / "modeld" / "modeld-worker")


CLIENT = "import modeld; c = modeld.connect(); print(c.address, c.uses_shared_memory, *c.models())"


@pytest.fixture
def somebody():
    """(A command that runs others as a user that nobody else is, without a directory of a session; the one in /tmp.)"""
    uid = 300000 + os.getpid() % 100000
    command = [*as_user(uid), "env"]
    for variable in ("XDG_RUNTIME_DIR", "RUNTIME_DIRECTORY", "NOTIFY_SOCKET", "MODELD_ADDRESS", "MODELD_HANDOFF"):
        command += ["-u", variable]
    command += ["HOME=/", f"PYTHONPATH={ROOT}/clients/python"]
    path = f"/tmp/modeld-{uid}"
    shutil.rmtree(path, ignore_errors=True)
    yield command, path
    shutil.rmtree(path, ignore_errors=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: another user")
@pytest.mark.skipif(os.path.exists("/run/modeld/modeld.sock"),
                    reason="a daemon of this host's comes first")
def test_a_user_without_a_session_is_found_by_a_socket(prefix, somebody, tmp_path):
    """In /tmp, in a directory of theirs; one that somebody else has made is not used."""
    user, own = somebody
    modeld = [*user, prefix / "bin" / "modeld", "--config", prefix / "etc" / "modeld" / "modeld.conf", "--set", "metrics.listen=",
              "--set", "server.listen=127.0.0.1:0, unix:modeld.sock", "--set", "models.serve=identity", "--set", "models.default=identity"]
    os.mkdir(own)
    done = subprocess.run(modeld, capture_output=True, text=True)
    assert done.returncode == 71 and f"path={own}" in done.stderr and "runtime_dir" in done.stderr, done.stderr
    os.rmdir(own)
    with open(tmp_path / "log", "wb") as log:
        daemon = subprocess.Popen(modeld, stderr=log)
    try:
        wait_for("its socket", lambda: os.path.exists(f"{own}/modeld.sock") or daemon.poll() is not None)
        assert daemon.poll() is None, (tmp_path / "log").read_text()
        assert stat.S_IMODE(os.stat(own).st_mode) == 0o700
        done = subprocess.run([*user, prefix / "bin" / "modelctl", "wait-ready", "-t", "60"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        done = subprocess.run([*user, sys.executable, "-c", CLIENT], capture_output=True, text=True)
        assert done.stdout.split() == [f"unix:{own}/modeld.sock", "True", "identity"], done.stderr
    finally:
        daemon.terminate()
        assert daemon.wait(60) == 0, (tmp_path / "log").read_text()


def test_the_installed_configuration_is_good(prefix):
    done = subprocess.run([prefix / "bin" / "modeld", "--config", prefix / "etc" / "modeld" / "modeld.conf", "--check"],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"repository = {prefix}/share/modeld/models" in done.stdout
    for key, path in (("program", "libexec/modeld/modeld-worker"), ("backend_dirs", "lib/modeld/backends")):
        value = re.search(rf"^{key} = (.*)", done.stdout, re.M).group(1)
        assert os.path.realpath(value) == str(prefix / path)


def test_destdir_and_an_administrators_configuration(tmp_path):
    make("install", f"DESTDIR={tmp_path}", "PREFIX=/usr")
    conf = tmp_path / "etc" / "modeld" / "modeld.conf"
    assert "repository = /usr/share/modeld/models" in conf.read_text()
    conf.write_text("[server]\nlog_level = debug\n")
    said = make("install", f"DESTDIR={tmp_path}", "PREFIX=/usr")
    assert conf.read_text() == "[server]\nlog_level = debug\n" and "kept" in said
    assert (tmp_path / "etc" / "modeld" / "modeld.conf.new").exists()
    mine = tmp_path / "usr" / "share" / "modeld" / "models" / "mine"
    mine.mkdir()
    (mine / "model.conf").write_text("x")
    make("uninstall", f"DESTDIR={tmp_path}", "PREFIX=/usr")
    assert files_below(tmp_path) == {"etc/modeld/modeld.conf", "etc/modeld/modeld.conf.new",
                                     "usr/share/modeld/models/mine/model.conf"}


def test_what_nobody_changed_goes(tmp_path):
    for target in ("install", "uninstall"):
        make(target, f"DESTDIR={tmp_path}", "PREFIX=/usr")
    assert files_below(tmp_path) == set()


# --- a backend of a user's own ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scale(prefix, tmp_path_factory):
    """docs/examples/scale_backend.c built as its first lines say, with a repository that has two models for it."""
    path = tmp_path_factory.mktemp("mine")
    (path / "backends").mkdir()
    subprocess.run(["cc", "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC",
                    f"-I{prefix / 'include'}", "-o", path / "backends" / "scale.so",
                    os.path.join(ROOT, "docs", "examples", "scale_backend.c")], check=True, cwd=path)
    for name, factor in (("doubled", "2"), ("broken", "many")):
        (path / "models" / name / "1").mkdir(parents=True)
        (path / "models" / name / "model.conf").write_text(
            f"[model]\nbackend = scale\nmax_batch_size = 4\n[parameters]\nfactor = {factor}\n")
    return path


def scale_daemon(installed, prefix, scale, *sets, **options):
    backends = f"worker.backend_dirs={scale / 'backends'}, {prefix / 'lib' / 'modeld' / 'backends'}"
    return installed(backends, *sets, repository=str(scale / "models"), **options)


def test_a_backend_of_ones_own(installed, prefix, scale):
    d = scale_daemon(installed, prefix, scale, "model.max_queue_delay_us=2000000", models=["doubled"])
    call = d.channel().unary_unary(m.WORKER_SERVICE + "Infer", request_serializer=lambda r: r.SerializeToString(),
                                   response_deserializer=m.worker.InferResponse.FromString)
    requests = [daemon_module.infer_request("doubled", struct.pack("<3f", i, 1, -1), [1, 3], "f32") for i in range(4)]
    replies = [f.result(60) for f in [call.future(r, timeout=60) for r in requests]]
    assert [struct.unpack("<3f", r.tensor_data.data) for r in replies] == [(2 * i, 2, -2) for i in range(4)]
    assert [r.metadata["batch_size"] for r in replies] == ["4"] * 4
    model, = d.status().models
    assert (model.backend, model.inputs[0].name, list(model.inputs[0].dims)) == ("scale", "INPUT", [-1, -1])


def test_what_it_refuses_is_told(installed, prefix, scale):
    d = scale_daemon(installed, prefix, scale, models=["doubled", "broken"])
    states = {x.name: x for x in d.status().models}
    assert states["doubled"].state == "ready" and states["broken"].state == "failed"
    assert "factor" in states["broken"].detail
    with pytest.raises(grpc.RpcError) as e:
        d.infer("broken", bytes(4), [1, 1], "f32")
    assert e.value.code() == grpc.StatusCode.UNAVAILABLE and "factor" in e.value.details()


def test_no_such_backend(installed, prefix, scale):
    d = installed(repository=str(scale / "models"), models=["doubled"])
    model, = d.status().models
    assert model.state == "failed" and "scale" in model.detail and "backends" in model.detail


def test_a_purge_takes_what_instances_of_any_name_have_kept(tmp_path):
    """And nothing of others."""
    ours = ["var/lib/private/modeld/x", "var/lib/private/modeld-0/x", "var/lib/private/modeld-left/x", "var/lib/modeld-1/x",
            "etc/modeld/0.env", "etc/modeld/left.env"]
    theirs = ["var/lib/modeld-backup/x", "var/lib/other/x", "etc/modeld/models/x"]
    links = {"var/lib/modeld": "private/modeld", "var/lib/modeld-left": "private/modeld-left"}
    wants = "etc/systemd/system/multi-user.target.wants"
    links |= {f"{wants}/modeld@{name}.service": "/lib/systemd/system/modeld@.service" for name in ("0", "left")}
    for path in ours + theirs:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / wants).mkdir(parents=True)
    (tmp_path / wants / "other.service").symlink_to("/lib/systemd/system/other.service")
    for path, target in links.items():
        (tmp_path / path).symlink_to(target)
    subprocess.run(["sh", os.path.join(ROOT, "conf", "debian", "modeld.postrm"), "purge"], check=True,
                   env=dict(os.environ, DPKG_ROOT=str(tmp_path)))
    assert files_below(tmp_path) == {*theirs, f"{wants}/other.service"}
    assert not list(tmp_path.glob("var/lib/private/*")) and not (tmp_path / "var/lib/modeld-left").is_symlink()


def test_make_without_what_it_needs_says_what_brings_it(tmp_path):
    for name in ("sh", "make", "mkdir", "touch", "uname", "cat", "sed", "cmp", "rm"):
        os.symlink(shutil.which(name), tmp_path / name)
    done = subprocess.run([tmp_path / "make", "-C", ROOT, f"BUILD={tmp_path}/build", "CC=gcc", "all"], capture_output=True, text=True,
                          env={"PATH": str(tmp_path)}, timeout=60)
    assert done.returncode != 0
    assert "the build needs gcc pkg-config protoc-c libuv" in done.stdout and "scripts/setup build" in done.stdout
    assert "pkg-config: No such file" not in done.stderr, "what is missing is said once"
