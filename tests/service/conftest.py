"""Of all files here."""
import glob
import os

import pytest

from debian import run, why_not

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture(scope="session")
def packages():
    """Made once: by a training run that takes its minutes."""
    reason = why_not("dh", "dpkg-buildpackage", "fakeroot")
    if reason:
        pytest.skip(reason)
    run("make", "deb", cwd=ROOT)
    found = glob.glob(os.path.join(ROOT, "build", "deb", "*.deb"))
    return {os.path.basename(p).split("_")[0]: p for p in found if "-dbgsym" not in p}
