"""docs/from-triton.md names every field of a config.pbtxt, and says nothing of others; keys that it names are there."""
import os
import re
import subprocess

import messages as m
from daemon import BUILD
from google.protobuf import descriptor_pb2

with open(os.path.join(m.ROOT, "docs", "from-triton.md"), encoding="utf-8") as page:
    PAGE = page.read()


def section(title):
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(title):
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in section(title).splitlines()
            if line.startswith("| `")]


def fields(message, prefix=""):
    """{"Message.Nested": {field, ...}} of all that have any; entries of maps are none."""
    name = prefix + message.name
    found = {name: {f.name for f in message.field}} if message.field and not message.options.map_entry else {}
    for nested in message.nested_type:
        found.update(fields(nested, name + "."))
    return found


def test_every_field_of_the_configuration(tmp_path):
    out = tmp_path / "set"
    subprocess.run(["protoc", "-I.", f"--descriptor_set_out={out}", "proto/kserve/model_config.proto"], cwd=m.ROOT, check=True)
    file = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file[0]
    there, said = {}, {}
    for message in file.message_type:
        there.update(fields(message))
    for message, names, _ in rows("Fields of config.pbtxt"):
        for name in re.findall(r"`(\w+)`", names):
            known = said.setdefault(message.strip("`"), set())
            assert name not in known, (message, name)
            known.add(name)
    assert said == there


def test_keys_that_options_became_are_there():
    keys = set(re.findall(r"`((?:server|models|worker|memory|limits|http2|metrics|trace|compression)\.\w+)`",
                          section("Options of tritonserver")))
    assert len(keys) > 20
    listing = subprocess.run([os.path.join(BUILD, "modeld"), "--config", os.path.join(m.ROOT, "conf", "modeld.conf"), "--check"],
                             capture_output=True, text=True, check=False).stdout
    known, current = set(), ""
    for line in listing.splitlines():
        current = line.strip("[]") if line.startswith("[") else current
        if " = " in line:
            known.add(f"{current}.{line.split(' = ')[0]}")
    assert keys <= known, keys - known


def test_parameters_that_fields_became_are_there():
    with open(os.path.join(m.ROOT, "docs", "onnxruntime.md"), encoding="utf-8") as page:
        settings = page.read().split("\n## Settings\n")[1].split("\n## ")[0]
    named = re.findall(r"`(\w+)` in\s`\[parameters\]`", section("Fields of config.pbtxt"))
    assert named and all(f"\n| `{key}` | " in settings for key in named), named


def test_options_are_told_once():
    options = re.findall(r"`(--[\w-]+)`", " ".join(row[0] for row in rows("Options of tritonserver")))
    assert len(options) > 80 and len(options) == len(set(options))
