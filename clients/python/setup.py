"""The package with its generated modules (stubs.py): they say which protobuf and grpcio it needs."""
import pathlib
import shutil
import sys
import tempfile

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import stubs  # noqa: E402

made = tempfile.TemporaryDirectory()
stubs.generate(made.name)


class BuildWithStubs(build_py):
    def run(self):
        super().run()
        # An editable installation looks into the checkout, which does not keep them: git ignores what lies there.
        target = HERE if self.editable_mode else pathlib.Path(self.build_lib)
        shutil.copytree(pathlib.Path(made.name) / stubs.PACKAGE, target / stubs.PACKAGE, dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithStubs}, install_requires=["numpy>=1.21", *stubs.needs(made.name)])
