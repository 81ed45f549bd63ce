"""The status page in a real browser: needs a headless Chromium."""
import os
import re
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "system"))
from daemon import PATIENCE_S, starting, wait_for  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium here (Debian: chromium)")


def rendered(url, size, tmp_path):
    """The document after the page has asked for metrics some times, and what the browser complained of."""
    said = subprocess.run(
        [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-extensions", "--enable-logging=stderr",
         f"--user-data-dir={tmp_path}", f"--window-size={size}", "--virtual-time-budget=12000", "--dump-dom", url],
        capture_output=True, text=True, timeout=4 * PATIENCE_S)
    return said.stdout, [line for line in said.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.parametrize("size", ["1200,900", "390,800"])
def test_it_shows_what_there_is(size, tmp_path):
    with starting(models=["identity", "sleep"]) as start:
        d = start("metrics.listen=127.0.0.1:0")
        d.infer("identity", b"abc")
        address = wait_for("the listener", lambda: re.search(r" metrics address=(\S+)", d.log())).group(1)
        dom, complaints = rendered(f"http://{address}/", size, tmp_path)
        assert not complaints, complaints
        assert re.search(r'id="state"[^>]*class="good"[^>]*>ready<', dom), dom[-4000:]
        for text in ("identity : 1", "sleep : 1", "cpu:0/0", "Input arena"):
            assert text in dom
        assert dom.count("<polyline") >= 6
