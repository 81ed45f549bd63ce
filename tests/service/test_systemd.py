"""The service under a real systemd, which is process 1 of namespaces of its own: see boot.sh and scenarios.py."""
import os
import shutil
import signal
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
EXPOSURE_MAX = 1.7
SCENARIOS = ["start_and_stop", "a_crash_is_followed_by_a_start", "a_daemon_that_stands_still_is_replaced",
             "reload_reads_the_repository", "a_bad_configuration_is_not_tried_again", "a_restart_refuses_nobody",
             "the_first_client_starts_it", "unix_sockets_of_systemd_stay", "another_process_takes_over",
             "instances_are_apart", "workers_have_limits", "a_restart_loses_no_call", "an_upgrade_loses_no_call"]
# What a system that is nothing but this service does not have.
BARE = "[Unit]\nDefaultDependencies=no\nAfter=\nWants=\n"


def unit_text(instance=False):
    path = os.path.join(ROOT, "conf", "systemd", "modeld.service")
    rules = ["-f", os.path.join(ROOT, "conf", "systemd", "instance.sed")] if instance else ["p", "-n"]
    text = subprocess.run(["sed", *rules, path], capture_output=True, text=True, check=True).stdout
    return text.replace("@PREFIX@", "/opt/modeld").replace("@SYSCONFDIR@", "/opt/modeld/etc")


def why_not():
    if os.geteuid() != 0:
        return "needs root"
    for program in ("unshare", "systemctl", "systemd-analyze"):
        if not shutil.which(program):
            return f"needs {program}"
    if not os.path.exists("/lib/systemd/systemd"):
        return "needs systemd"
    probe = subprocess.run(["unshare", "--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--cgroup", "true"],
                           capture_output=True, text=True, check=False)
    return f"no namespaces here: {probe.stderr.strip()}" if probe.returncode else ""


pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")


@pytest.fixture
def units(tmp_path):
    (tmp_path / "modeld.service").write_text(unit_text())
    (tmp_path / "modeld@.service").write_text(unit_text(instance=True))
    for name in ("modeld.socket", "modeld-handoff.socket"):
        shutil.copy(os.path.join(ROOT, "conf", "systemd", name), tmp_path)
        (tmp_path / f"{name}.d").mkdir()
        (tmp_path / f"{name}.d" / "test.conf").write_text(BARE)
    (tmp_path / "modeld.service.d").mkdir()
    (tmp_path / "modeld.service.d" / "test.conf").write_text(BARE + "[Service]\nWatchdogSec=3\nRestartSec=0\n"
                                                            "StandardError=append:/run/modeld.log\n")
    shutil.copytree(tmp_path / "modeld.service.d", tmp_path / "modeld@.service.d")
    (tmp_path / "test.target").write_text(BARE)
    (tmp_path / "shutdown.target").write_text(BARE)
    return tmp_path


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_service(units, tmp_path, scenario):
    log = tmp_path / "log"
    command = ["unshare", "--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--mount-proc", "--cgroup",
               os.path.join(HERE, "boot.sh"), scenario, str(units), str(log), ROOT, sys.executable]
    with subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as p:
        try:
            out, _ = p.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
            out, _ = p.communicate()
    said = log.read_text() if log.exists() else ""
    assert said.rstrip().endswith("passed"), said + out.decode(errors="replace")
    print(said)


def test_exposure(tmp_path):
    unit = tmp_path / "modeld.service"
    unit.write_text(unit_text())
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)],
                          capture_output=True, text=True, check=True)
    level = float(done.stdout.rsplit("modeld.service:", 1)[1].split()[0])
    assert level <= EXPOSURE_MAX, done.stdout
