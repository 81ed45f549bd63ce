"""docs/clients.md: the example for the shell, as it stands there; and the table of data types."""
import os
import re
import shutil
import subprocess

import pytest

from daemon import ROOT

TEXT = open(os.path.join(ROOT, "docs", "clients.md"), encoding="utf-8").read()


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl here")
def test_the_shell(start, tmp_path):
    d = start(models=["digits"], repository=os.path.join(ROOT, "conf", "models"))
    script = re.search(r"## The shell.*?```sh\n(.*?)```", TEXT, re.S).group(1).replace("-I proto", f"-I {ROOT}/proto")
    done = subprocess.run(["sh", "-eu", "-c", script], capture_output=True, text=True, timeout=60, cwd=tmp_path,
                          env=dict(os.environ, MODELD_HTTP=f"http://{d.tcp}"))
    assert done.returncode == 0, done.stderr
    assert 'dtype: "f32"' in done.stdout and "shape: 10" in done.stdout and 'key: "queue_us"' in done.stdout


def test_data_types_are_those_of_the_header():
    header = open(os.path.join(ROOT, "clients", "c", "modeld.h"), encoding="utf-8").read()
    said = dict((name, int(number)) for number, name in re.findall(r"\| (\d+) \| `(\w+)` \|", TEXT))
    assert said == {name.lower(): int(number) for name, number in re.findall(r"MODELD_(\w+) = (\d+),", header)
                    if not name.startswith("E_")}
