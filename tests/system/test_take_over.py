"""scripts/modeld-take-over beside a systemctl and a service that are shell: what it says of each end. With systemd: tests/service."""
import os
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SYSTEMCTL = """#!/bin/sh
cd "$(dirname "$0")"
case $1 in
show) cat "$3" ;;
kill) kill -USR2 "$(cat MainPID)" ;;
esac
"""
# As a version does that knows nothing of it: no trap.
NOTHING = ":"
FAILS = "trap 'echo \"serving; takeover 1 has failed: no room\" >StatusText' USR2"
# With a moment at which systemd has no answer, which is none of "another one".
GOES = "trap ': >MainPID; sleep 0.3; echo 1 >MainPID; exit' USR2"
DIES = "trap ': >SubState; echo 0 >MainPID; exit' USR2"


@pytest.fixture
def take_over(tmp_path):
    (tmp_path / "systemctl").write_text(SYSTEMCTL)
    (tmp_path / "systemctl").chmod(0o755)
    services = []

    def run(does, state="running"):
        service = subprocess.Popen(["sh", "-c", does + "\necho ready\nwhile :; do sleep 0.05; done"], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        services.append(service)
        assert service.stdout.readline() == "ready\n"
        for name, text in (("MainPID", service.pid), ("SubState", state), ("StatusText", "serving")):
            (tmp_path / name).write_text(f"{text}\n")
        script = subprocess.Popen([os.path.join(ROOT, "scripts", "modeld-take-over")], stderr=subprocess.PIPE, text=True,
                                  env=dict(os.environ, PATH=f"{tmp_path}:{os.environ['PATH']}"))
        services.append(script)
        if does in (GOES, DIES):
            service.wait(60)
        _, said = script.communicate(timeout=60)
        return script.returncode, said, service.poll()

    yield run
    for process in services:
        process.kill()
        process.communicate()


def test_another_process_is_the_service(take_over):
    assert take_over(GOES) == (0, "", 0)


def test_where_it_fails_the_one_before_goes_on(take_over):
    status, said, service = take_over(FAILS)
    assert (status, service) == (1, None) and "takeover 1 has failed: no room" in said


def test_a_version_that_knows_nothing_of_it_is_left_alone(take_over):
    status, said, service = take_over(NOTHING)
    assert (status, service) == (1, None) and "cannot be taken over" in said


def test_a_service_that_ends_instead(take_over):
    status, said, service = take_over(DIES)
    assert (status, service) == (1, 0) and "not running any more" in said


def test_a_service_that_does_not_run_yet(take_over):
    status, said, service = take_over(FAILS, "start")
    assert (status, service) == (69, None) and "it is not running" in said
