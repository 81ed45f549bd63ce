"""docs/security.md: each test that it names is there."""
import os
import re

from daemon import ROOT

TEXT = open(os.path.join(ROOT, "docs", "security.md"), encoding="utf-8").read()


def read(*path):
    path = os.path.join(ROOT, *path)
    return open(path, encoding="utf-8").read() if os.path.exists(path) else None


def test_what_it_names_is_there():
    named = re.findall(r"(test_\w+\.py)(?:::(test_\w+))?", TEXT)
    assert len(named) > 20
    missing = [(file, test) for file, test in named if f"def {test}" not in (read("tests", "system", file) or "")]
    missing += [name for name in re.findall(r"\w+/\w+_test\.c", TEXT) if read("tests", "unit", name) is None]
    missing += [name for name in re.findall(r"\w+_fuzz\.c", TEXT) if read("tests", "fuzz", name) is None]
    assert not missing


def names_one(text):
    return re.search(r"test_\w+\.py|_test\.c|_fuzz\.c", text)


def test_each_row_of_a_table_names_one():
    heads = ("| it cannot", "| in the sandbox", "| `[worker] sandbox`")
    rows = [row for row in TEXT.splitlines() if row.startswith("| ") and not row.startswith(heads)]
    assert rows and all(names_one(row.rsplit("|", 2)[1]) for row in rows)


def test_each_paragraph_names_one():
    paragraphs = [text for text in TEXT.split("\n\n")[2:] if not text.startswith(("#", "|"))]
    assert paragraphs and not [text for text in paragraphs if not names_one(text)]
