"""What tests of the packages share."""
import os
import shutil
import subprocess


def why_not(*programs):
    if os.geteuid() != 0:
        return "needs root"
    return next((f"needs {p}" for p in programs if not shutil.which(p)), None)


def run(*argv, **kw):
    done = subprocess.run(argv, capture_output=True, text=True, **kw)
    assert done.returncode == 0, f"{argv}\n{(done.stdout + done.stderr)[-6000:]}"
    return done.stdout
