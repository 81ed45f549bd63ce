"""The manifests: against Kubernetes' own schemas, and what they say to modeld against modeld."""
import os
import socket
import subprocess

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
MANIFESTS = os.path.join(ROOT, "conf", "kubernetes")
MODELD = os.path.join(ROOT, "build", "modeld")

yaml = pytest.importorskip("yaml", reason="needs PyYAML")


def documents(name):
    with open(os.path.join(MANIFESTS, name)) as f:
        return list(yaml.safe_load_all(f))


def of_kind(kind):
    return next(d for d in documents("modeld.yaml") if d["kind"] == kind)


def check(config, *sets):
    return subprocess.run([MODELD, "--config", config, *sets, "--check"], capture_output=True, text=True)


def free_address():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return "127.0.0.1:%d" % s.getsockname()[1]


@pytest.mark.parametrize("document", documents("modeld.yaml"), ids=lambda d: d["kind"])
def test_the_schema_of_kubernetes(document):
    schemas = pytest.importorskip("kubernetes_validate", reason="needs kubernetes-validate")
    schemas.validate(document, schemas.latest_version(), strict=True)


def test_the_configuration_is_one_of_modeld(tmp_path):
    path = tmp_path / "modeld.conf"
    path.write_text(of_kind("ConfigMap")["data"]["modeld.conf"])
    done = check(str(path), "--set", f"models.repository={ROOT}/conf/models", "--set", f"server.runtime_dir={tmp_path}",
                 "--set", f"server.listen={free_address()}", "--set", f"metrics.listen={free_address()}")
    assert done.returncode == 0, done.stdout + done.stderr


def container():
    return of_kind("Deployment")["spec"]["template"]["spec"]["containers"][0]


def test_ports_and_paths_are_those_of_the_configuration():
    said = of_kind("ConfigMap")["data"]["modeld.conf"]
    ports = {p["name"]: p["containerPort"] for p in container()["ports"]}
    assert f"listen = 0.0.0.0:{ports['grpc']}," in said and f"listen = 0.0.0.0:{ports['metrics']}\n" in said
    for probe in ("startupProbe", "readinessProbe"):
        assert container()[probe]["grpc"]["port"] == ports["grpc"]
    mounts = {m["name"]: m["mountPath"] for m in container()["volumeMounts"]}
    assert f"repository = {mounts['models']}\n" in said and f"runtime_dir = {mounts['sockets']}\n" in said
    assert os.path.dirname(container()["args"][1]) == mounts["configuration"]
    assert {p["targetPort"] for p in of_kind("Service")["spec"]["ports"]} == set(ports)


def test_a_pod_has_time_to_drain():
    pod = of_kind("Deployment")["spec"]["template"]["spec"]
    drain = 25
    assert f"drain_timeout_s = {drain}\n" in of_kind("ConfigMap")["data"]["modeld.conf"]
    waits = container()["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert waits + drain < pod["terminationGracePeriodSeconds"]


def test_the_monitor_finds_the_pods():
    monitor = documents("podmonitor.yaml")[0]
    labels = of_kind("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert {e["port"] for e in monitor["spec"]["podMetricsEndpoints"]} <= {p["name"] for p in container()["ports"]}


def test_the_runtime_of_kserve(tmp_path):
    """Where KServe lays the model, its container's name and its port; and that modeld takes what it says."""
    runtime = documents("servingruntime.yaml")[0]["spec"]["containers"][0]
    assert runtime["name"] == "kserve-container" and "models.repository=/mnt/models" in runtime["args"]
    assert {"name": "h2c", "containerPort": 9000, "protocol": "TCP"} in runtime["ports"]
    assert runtime["args"][:2] == ["--config", "/etc/modeld/modeld.conf"]
    done = check(os.path.join(ROOT, "conf", "container", "modeld.conf"), *runtime["args"][2:],
                 "--set", f"models.repository={ROOT}/conf/models", "--set", f"server.listen={free_address()}",
                 "--set", f"metrics.listen={free_address()}", "--set", f"server.runtime_dir={tmp_path}")
    assert done.returncode == 0, done.stdout + done.stderr
