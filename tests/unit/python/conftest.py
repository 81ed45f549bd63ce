"""Unit tests of the worker in Python: its modules, in this process."""
import os
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
sys.path[:0] = [os.path.join(ROOT, "workers", "python"), os.path.join(ROOT, "tests", "system")]
