"""Instances: how many there are where, and the threads that they share."""
import os
import re

from daemon import BUILD, wait_for
from test_models import copy_onnx, models

FAKE = os.path.join(BUILD, "fakecuda")
GROUPS = """\
backend: "builtin"
parameters { key: "function" value { string_value: "simple" } }
instance_group [ { count: 2 kind: KIND_GPU gpus: [ 1 ] }, { count: 1 kind: KIND_GPU gpus: [ 0, 1, 5 ] }, { kind: KIND_CPU } ]
"""


def test_groups_on_gpus_and_on_the_host(start, repository):
    os.makedirs(os.path.join(repository.directory, "m"))
    repository.write("m/config.pbtxt", GROUPS)
    d = start("models.serve=*", "models.default=identity", f"worker.program={FAKE}/modeld-worker",
              f"worker.backend_dirs={FAKE}/backends", repository=repository.directory, workers="cpu:0, cuda:0, cuda:1",
              env={"FAKECUDA": "devices=2"})
    lines = lambda: re.findall(r"model loaded worker=(\S+)/0 model=m version=1 backend=builtin lanes=(\d)", d.log())
    wait_for("all instances", lambda: len(lines()) == 3)
    assert dict(lines()) == {"cpu:0": "1", "cuda:0": "1", "cuda:1": "3"}
    places = lambda: {(p.worker, p.instances, p.state) for x in d.status().models if x.name == "m" for p in x.placements}
    wait_for("the status", lambda: places() == {("cpu:0/0", 1, "ready"), ("cuda:0/0", 1, "ready"), ("cuda:1/0", 3, "ready")})
    for command in (("status", "m"), ("status", "-o", "wide")):
        assert "instances cpu:0 x1, cuda:0 x1, cuda:1 x3\n" in d.modelctl(*command).stdout
    assert "cuda:1 x3" not in d.modelctl("status").stdout
    assert "there is no worker on cuda:5" in d.log()


def threads(start, repository, workers):
    d = start("models.serve=*", "models.default=identity", repository=repository.directory, workers=workers)
    wait_for("the model", lambda: models(d)["o", "1"] == "ready")
    shared = re.findall(r"share (\d+) threads", d.log())
    return int(shared[0]) if shared else 1


def test_workers_divide_the_processors(start, repository):
    copy_onnx(repository, "o/1/model.onnx")
    alone = threads(start, repository, "cpu:0")
    assert 1 <= alone <= len(os.sched_getaffinity(0))
    assert threads(start, repository, "cpu:0 x2") == max(1, alone // 2)
