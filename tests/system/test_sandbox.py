"""A backend that was taken over is no more than a model: what it tries from inside is refused, and nobody notices."""
import errno
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import pytest

from backends import compile_backend
from daemon import BUILD, ROOT, alive, open_to_others, wait_for
from python_models import modeld, put

@pytest.fixture(scope="module")
def backends(tmp_path_factory):
    """A folder with the hostile backend, and what it needs to be readable for anybody."""
    return compile_backend(tmp_path_factory.mktemp("hostile"), "hostile")


@pytest.fixture
def served(start, tmp_path, backends):
    """served(*sets, ...) -> a daemon with a hostile model and an innocent one"""
    models = tmp_path / "models"
    for name, backend in [("hostile", "hostile"), ("innocent", "builtin")]:
        (models / name / "1").mkdir(parents=True)
        text = f"[model]\nbackend = {backend}\nmax_batch_size = 0\n"
        (models / name / "model.conf").write_text(text + "[parameters]\nfunction = identity\n" * (name == "innocent"))

    def begin(*sets, **options):
        return start(f"worker.backend_dirs={backends}, {BUILD}/backends", *sets, repository=str(models),
                     models=["innocent", "hostile"], **options)

    return begin


def ask(d, text):
    return d.infer("hostile", text.encode(), shape=[len(text.encode())]).tensor_data.data.decode()


def attempts(d, victim, path):
    """name -> errno of each attempt against a process (or another worker than that which is asked) and a file"""
    def tried():
        # Whether workers take turns or not, one of these is asked about the other.
        for pid in [victim] if victim else [p for p in d.workers() for _ in range(2)]:
            text = ask(d, f"{pid} {path}")
            if text != "itself":
                return text
        return None

    lines = wait_for("a worker that is not the victim", tried).splitlines()
    return {name: int(number) for name, number in (line.rsplit(" ", 1) for line in lines)}


def sandbox(d):
    return d.status().workers[0].sandbox


def skip_unless_whole(d):
    text = sandbox(d)
    if "Landlock" not in text or "system calls" not in text:
        pytest.skip(f"this kernel lacks a part: {text}")


REFUSED = {errno.EPERM, errno.EACCES, errno.ENOSYS}


def test_a_model_that_was_taken_over_reaches_nothing(served, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    d = served(workers="cpu:0 x2")
    skip_unless_whole(d)
    assert sandbox(d).startswith("on: ")
    workers = {w.pid for w in d.status().workers}
    for victim in (d.pid, None):
        got = attempts(d, victim, secret)
        # There may be no group of that name.
        wrong = {name: errno.errorcode.get(n, n) for name, n in got.items()
                 if n not in REFUSED and (name, n) != ("kill group", errno.ESRCH)}
        assert not wrong and len(got) > 30, wrong
    assert d.infer("innocent", b"x").tensor_data.data == b"x"
    assert {w.pid for w in d.status().workers} == workers and secret.read_text() == "secret"
    assert sorted(os.listdir(tmp_path)) == ["models", "secret"]


def test_what_it_leaves_behind_ends_with_it(served):
    d = served()
    child = int(ask(d, "child"))
    skip_unless_whole(d)
    assert alive(child)
    d.kill_a_worker()
    wait_for("its end", lambda: not alive(child))
    assert d.infer("innocent", b"x").tensor_data.data == b"x"


def test_relaxed_is_what_it_says(served, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    d = served("worker.sandbox=relaxed", f"worker.sandbox_write={tmp_path}")
    skip_unless_whole(d)
    assert sandbox(d).startswith("relaxed: ")
    got = attempts(d, d.pid, secret)
    given = {"program", "unix socket", "network", "a temporary file", "shared memory"}
    given |= {"read a file", "write a file", "make a file", "remove a file"}
    assert {name for name, n in got.items() if n == 0} >= given
    for name in ["ptrace", "process_vm_readv", "kill", "memory for reading", "setsid", "namespace", "mount", "bpf",
                 "io_uring_setup", "pidfd_getfd", "shadow"]:
        assert got[name] in REFUSED, name
    assert d.infer("innocent", b"x").tensor_data.data == b"x"


@pytest.fixture
def models_for_all():
    """A repository of `identity` that every user can read, wherever this tree lies."""
    with tempfile.TemporaryDirectory(dir="/tmp") as top:
        os.chmod(top, 0o755)
        shutil.copytree(os.path.join(ROOT, "tests", "models", "identity"), os.path.join(top, "identity"))
        yield top


def identity_of(pid):
    lines = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status").read().splitlines())
    return {key: lines[key].split() for key in ("Uid", "Gid", "Groups", "CapEff", "CapPrm", "CapBnd", "NoNewPrivs")}


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root's workers may be somebody else")


@needs_root
@pytest.mark.parametrize("mode", ["on", "off"])
def test_a_user_for_each_worker(start, models_for_all, mode):
    d = start("worker.user=64100-64199", f"worker.sandbox={mode}", repository=models_for_all, models=["identity"], workers="cpu:0 x2")
    nobody = "0000000000000000"
    seen = set()
    for w in d.status().workers:
        who = identity_of(w.pid)
        seen.add(who["Uid"][0])
        assert set(who["Uid"]) == {who["Uid"][0]} and set(who["Gid"]) == {"64100"} and not who["Groups"], who
        assert (who["CapEff"], who["CapPrm"], who["CapBnd"]) == ([nobody],) * 3, who
        assert f"user {who['Uid'][0]}" in w.sandbox
    assert seen == {"64100", "64101"}
    assert d.infer("identity", b"x").tensor_data.data == b"x"
    d.kill_a_worker()
    d.wait_workers_ready(2)
    assert d.infer("identity", b"x" * 5000000).tensor_data.data == b"x" * 5000000


WHO = """import os


def infer(x) -> 'bytes[1]':
    return f"{os.getresuid()} {os.getresgid()} {os.getgroups()}"
"""


@needs_root
@pytest.mark.skipif(not open_to_others(sys.executable, BUILD, ROOT), reason="another user may not come here")
@pytest.mark.parametrize("mode", ["on", "off"])
def test_a_model_in_python_of_another_user(start, mode):
    with tempfile.TemporaryDirectory(prefix="modeld-test-") as directory:
        put(pathlib.Path(directory), "who", WHO)
        subprocess.run(["chmod", "-R", "a+rX", directory], check=True)
        d = start(f"backend.python.interpreter={sys.executable}", "worker.user=64100-64199", f"worker.sandbox={mode}", models=["who"],
                  repository=directory)
        with modeld.connect(d.unix) as c:
            told = c.infer("who", np.zeros(1)).tolist()[0].decode()
        uid = re.match(r"\((\d+),", told).group(1)
        assert 64100 <= int(uid) < 64200 and told == f"({uid}, {uid}, {uid}) (64100, 64100, 64100) []"
        assert any(f"user {uid}" in w.sandbox for w in d.status().workers if w.model == "who")
        d.stop()


@needs_root
def test_fewer_users_than_workers_are_said(start):
    d = start("worker.user=64100-64101", models=["identity"], workers="cpu:0 x2")
    assert "workers will share users" in d.log() and "numbers=2" in d.log()


def test_off_is_off(served):
    d = served("worker.sandbox=off")
    assert sandbox(d) == "off"
    assert "NoNewPrivs:\t0" in open(f"/proc/{d.workers()[0]}/status").read() or \
        "NoNewPrivs:\t1" in open("/proc/self/status").read()


def test_the_status_shows_what_is_in_effect(served):
    d = served()
    assert f"sandbox {sandbox(d)}" in d.modelctl("status", "-o", "wide").stdout
    assert subprocess.run([os.path.join(BUILD, "modeld"), "--config", os.path.join(ROOT, "conf", "modeld.conf"), "--set",
                           "worker.sandbox=ajar", "--check"], capture_output=True, text=True).stderr.count(
                               "[worker] sandbox: 'ajar' is none of on, relaxed, off") == 1


def test_models_behind_links(served, tmp_path):
    """A link in the repository leads where it leads; one that comes later, to what may not be read, is an error that
    names the setting."""
    models, away = tmp_path / "models", tmp_path / "away"
    for name in ("early", "late"):
        (away / name / "1").mkdir(parents=True)
        (away / name / "model.conf").write_text("[model]\nbackend = builtin\n[parameters]\nfunction = identity\n")
    models.joinpath("early").symlink_to(away / "early")
    d = served("models.serve=*")
    skip_unless_whole(d)
    assert d.infer("early", b"x").tensor_data.data == b"x"
    models.joinpath("late").symlink_to(away / "late")
    d.modelctl("reload")
    late = wait_for("its failure", lambda: [x for x in d.status().models if x.name == "late" and x.state == "failed"])
    assert "[worker] sandbox_read" in late[0].detail
    assert d.infer("early", b"x").tensor_data.data == b"x"


@pytest.mark.parametrize("limit", ["1G", "0"])
def test_a_repository_that_a_reload_adds(start, tmp_path, limit):
    """Workers that may read it take the place of those that may not, without a failure; where none is ever replaced, that is said."""
    for name in ("early", "late"):
        (tmp_path / name / name / "1").mkdir(parents=True)
        (tmp_path / name / name / "model.conf").write_text("[model]\nbackend = builtin\n[parameters]\nfunction = identity\n")
    conf = tmp_path / "modeld.conf"
    conf.write_text(f"[models]\nrepository = {tmp_path}/early\n")
    d = start("models.serve=*", "models.default=early", f"worker.recycle_after_unload_bytes={limit}", config=str(conf), repository="",
              workers="cpu:0 x2")
    skip_unless_whole(d)
    conf.write_text(f"[models]\nrepository = {tmp_path}/early, {tmp_path}/late\n")

    def late(state):
        return [x for x in d.status().models if x.name == "late" and x.state == state]

    assert not d.modelctl("reload").returncode
    assert d.infer("early", b"x").tensor_data.data == b"x"
    if limit == "0":
        assert "[worker] sandbox_read" in wait_for("its failure", lambda: late("failed"))[0].detail
        assert d.log().count("a worker cannot read a repository that was added, in its sandbox: restart modeld") == 2
    else:
        wait_for("the new model", lambda: late("ready"))
        assert d.infer("late", b"x").tensor_data.data == b"x"
        wait_for("both to be replaced", lambda: d.log().count(" worker was replaced ") == 2)
        assert "restart modeld" not in d.log() and "sandbox_read" not in d.log()
    assert d.infer("early", b"x").tensor_data.data == b"x"
