"""The handoff client of clients/python, by which a worker asks for other models. It lies here where modeld is installed,
beside the program where it was built (where a sandbox lets it be read), else in the source tree."""
import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
for _place in (_HERE, os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), "modeld-python-client"),
               os.path.join(_HERE, "..", "..", "..", "..", "clients", "python", "modeld")):
    if os.path.isfile(os.path.join(_place, "_handoff.py")):
        __path__ = [os.path.normpath(_place)]
        break
