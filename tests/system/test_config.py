"""The daemon's command line, configuration, sockets and surroundings."""
import grp
import json
import os
import re
import shutil
import signal
import stat
import subprocess

import grpc
import pytest

from daemon import BUILD, ROOT, wait_for

MODELD = os.path.join(BUILD, "modeld")
CONF = os.path.join(ROOT, "conf", "modeld.conf")
OK, USAGE, SYSTEM, CONFIG = 0, 64, 71, 78
# A backend that cannot judge.
MUTE = """#include "backend.h"
static enum modeld_code load(const struct modeld_model_spec *s, void **m, struct modeld_model_info *i, struct modeld_error *e)
{ return MODELD_INTERNAL; }
static enum modeld_code run(void *m, const struct modeld_batch *b, struct modeld_error *e) { return MODELD_OK; }
static void unload(void *m) { }
static const struct modeld_backend b = {.size = sizeof(b), .abi = MODELD_BACKEND_ABI, .load = load, .run = run, .unload = unload};
const struct modeld_backend *modeld_backend(const struct modeld_host *h) { return &b; }
"""


def modeld(*args, **kw):
    return subprocess.run([MODELD, *map(str, args)], capture_output=True, text=True, timeout=60, **kw)


def check(config, *sets, **kw):
    return modeld("--config", config, *[a for s in sets for a in ("--set", s)], "--check", **kw)


# --- command line ----------------------------------------------------------------------------------


def forms(repository, form, code=OK, *sets):
    """All of the models are loaded, each by a process of its own."""
    done = subprocess.run([MODELD, "--triton", str(repository), f"--check={form}", *[a for s in sets for a in ("--set", s)]],
                          capture_output=True, text=True, timeout=600)
    assert done.returncode == code, done.stderr
    return done.stdout if code == OK else done.stderr


def printed_again(printed, of, to):
    """In a repository that has nothing else of the models but their versions."""
    blocks = re.split(r"^# (\S+)/config.pbtxt\n", printed, flags=re.M)[1:]
    for name, block in zip(blocks[::2], blocks[1::2]):
        shutil.copytree(os.path.join(of, name), to / name)
        for file in "model.conf", "config.pbtxt":
            if (to / name / file).exists():
                (to / name / file).unlink()
        (to / name / "config.pbtxt").write_text(block)
    return blocks[::2]


def test_models_are_printed_in_the_form_of_either_file(tmp_path):
    """What is printed as one is read as the same model again."""
    of = os.path.join(ROOT, "tests", "models", "triton")
    printed = forms(of, "pbtxt")
    assert len(printed_again(printed, of, tmp_path)) == len([e for e in os.listdir(of) if os.path.isdir(os.path.join(of, e))])
    assert forms(tmp_path, "pbtxt") == printed
    assert 'input { name: "INPUT0" data_type: TYPE_INT32 dims: [ 16 ] }\n' in printed
    conf = forms(of, "conf", OK, "models.serve=simple")
    assert "[model]\nbackend = builtin\n" in conf and '; input "INPUT0" INT32 [-1, 16]\n' in conf
    assert modeld("--triton", of, "--check=yaml").returncode == 64


def test_what_a_model_declares_completes_its_form(tmp_path):
    """Of a model without a file of its own: all of it comes from the model."""
    of = tmp_path / "of"
    shutil.copytree(os.path.join(ROOT, "conf", "models", "digits", "1"), of / "digits" / "1")
    printed = forms(of, "pbtxt")
    for line in ("max_batch_size: 8", 'input { name: "image" data_type: TYPE_FP32 dims: [ 8, 8 ] }',
                 'output { name: "probabilities" data_type: TYPE_FP32 dims: [ 10 ] }',
                 'output { name: "digit" data_type: TYPE_INT64 dims: [ 1 ] reshape { } }'):
        assert f"\n{line}\n" in printed
    printed_again(printed, of, tmp_path / "again")
    assert forms(tmp_path / "again", "pbtxt") == printed


def test_a_form_of_a_model_that_cannot_be_loaded(tmp_path):
    shutil.copytree(os.path.join(ROOT, "conf", "models", "digits"), tmp_path / "digits")
    (tmp_path / "broken" / "1").mkdir(parents=True)
    (tmp_path / "broken" / "1" / "model.onnx").write_bytes(b"nothing")
    conf = tmp_path / "digits" / "model.conf"
    conf.write_text(conf.read_text() + "\n[warmup.w]\ninput = nosuch FP32 [1] zero\n")
    errors = forms(tmp_path, "pbtxt", CONFIG)
    assert "modeld: model broken, version 1: " in errors
    assert re.search(r"^modeld: model digits, version 1: .*warm-up 'w': ", errors, re.M), errors


def test_tritons_defaults(tmp_path):
    repository = os.path.join(ROOT, "tests", "models", "triton")
    done = modeld("--triton", os.path.relpath(repository, tmp_path), "--check", cwd=tmp_path)
    assert done.returncode == OK
    values = dict(re.findall(r"^(\w+) = (.*)$", done.stdout, re.M))
    assert os.path.samefile(values["repository"], repository) and values["control"] == "none"
    assert "listen = 0.0.0.0:8001, unix:" in done.stdout and "listen = 0.0.0.0:8002" in done.stdout
    assert "; simple_string: version 1" in done.stdout
    done = modeld("--triton", repository, "--set", "server.listen=127.0.0.1:0", "--check")
    assert done.returncode == OK and "listen = 127.0.0.1:0" in done.stdout, "--set has the last word"
    done = modeld("--triton", str(tmp_path / "nothing"), "--check")
    assert done.returncode == CONFIG


def test_help_and_version():
    for option in ("--help", "-h"):
        done = modeld(option)
        assert done.returncode == OK and "--config" in done.stdout and "--check" in done.stdout
    for option in ("--version", "-V"):
        assert re.fullmatch(r"modeld \d+\.\d+\.\d+\n", modeld(option).stdout)


@pytest.mark.parametrize("args", [[], ["--nosuch"], ["--config"], ["--config", CONF, "argument"]])
def test_usage(args):
    done = modeld(*args)
    assert done.returncode == USAGE and "modeld" in done.stderr and not done.stdout


# --- the file --------------------------------------------------------------------------------------


def test_what_check_prints_is_a_configuration_that_means_the_same(tmp_path):
    sets = ["server.listen=127.0.0.1:6000, unix:/tmp/x.sock", "limits.max_connections=77", "memory.huge_pages=no",
            "backend.onnxruntime.intra_op_threads=3", "model.max_queue_delay_us=250", "server.unix_mode=0600"]
    first = check(CONF, *sets)
    assert first.returncode == OK, first.stderr
    for text in ("max_connections = 77", "intra_op_threads = 3", "max_queue_delay_us = 250", "[backend.onnxruntime]"):
        assert text in first.stdout
    (tmp_path / "again.conf").write_text(first.stdout)
    second = check(tmp_path / "again.conf")
    assert second.returncode == OK and second.stdout == first.stdout


def test_a_section_of_a_backend_that_there_is_not(start):
    """No model uses it, so no worker would ever say that it means nothing."""
    wrong = "backend.onnxruntme.intra_op_threads=3"
    done = check(CONF, wrong)
    assert done.returncode == CONFIG and "[backend.onnxruntme]: there is no such backend" in done.stderr
    assert "section=[backend.onnxruntme]" in start(wrong, models=["identity"]).log()


def test_backends_judge_their_settings_and_parameters(tmp_path):
    """All that is wrong at once, each with its file and line; nothing is loaded. The python backend's is looked at, too."""
    models = tmp_path / "models"
    for name in "one", "two", "three":
        (models / name / "1").mkdir(parents=True)
    (models / "one" / "model.conf").write_text("[model]\nbackend = builtin\n[parameters]\nfunction = identty\n\nspin = yes\n")
    (models / "two" / "model.conf").write_text("[parameters]\nspin = maybe\nbatchh = no\n")
    (models / "three" / "config.pbtxt").write_text(
        'backend: "onnxruntime"\nparameters {\n key: "inter_op_threads"\n value { string_value: "-1" }\n}\n')
    for name in "two", "three":
        (models / name / "1" / "model.onnx").write_text("this is no model")
    (tmp_path / "f.conf").write_text(
        "[models]\nrepository = models\n[server]\nlisten = 127.0.0.1:0\n[metrics]\nlisten =\n"
        "[backend.onnxruntime]\narena = perhaps\nspinn = yes\n[backend.builtin]\nx = y\n"
        "[backend.python]\ninterpreter = /nowhere/python\n")
    for form in [], ["--check=conf"]:
        done = modeld("--config", tmp_path / "f.conf", "--check", *form)
        assert done.returncode == CONFIG
        for text in ("f.conf:8: [backend.onnxruntime] arena: perhaps: yes or no is expected",
                     "f.conf:9: [backend.onnxruntime] spinn: means nothing; known are intra_op_threads",
                     "f.conf:11: [backend.builtin] x: means nothing to the backend",
                     "f.conf:13: [backend.python] interpreter: /nowhere/python: ",
                     "one/model.conf:4: [parameters] function: builtin has no function 'identty'",
                     "one/model.conf:6: [parameters] spin: means nothing to the backend",
                     "two/model.conf:2: [parameters] spin: maybe: yes or no is expected",
                     "two/model.conf:3: [parameters] batchh: means nothing; known are",
                     "three/config.pbtxt:3: [parameters] inter_op_threads: -1: no number from 0 to 1024"):
            assert text in done.stderr, done.stderr


# What newcomers write into a configuration: the file, and what is said of it.
WRONG = {
    "a key misspelt": ("[server]\nlissten = 127.0.0.1:6000\n", "f.conf:2: unknown key [server] lissten (is [server] listen meant?)"),
    "a section misspelt": ("[servr]\nlisten = x\n", "f.conf:2: unknown key [servr] listen (is [server] listen meant?)"),
    "no section": ("nothing = x\n", "f.conf:1: unknown key [] nothing (it stands before the first [section])"),
    "another section's": ("[server]\nmax_batch_size = 4\n", "(is [model] max_batch_size meant?)"),
    "JSON": ('{"server": {"listen": "x"}}\n', "f.conf:1: unknown key []"),
    "quotes": ('[server]\nlisten = "127.0.0.1:6000"\n', "f.conf:2: [server] listen: \"127.0.0.1:6000\": not host:port"),
    "IPv6 without brackets": ("[server]\nlisten = ::1:6000\n", "(an IPv6 address is in brackets: [::1]:50052)"),
    "a URL": ("[server]\nlisten = http://127.0.0.1:6000\n", "(without what is in front of ://)"),
    "no port": ("[server]\nlisten = localhost\n", "(the port is missing)"),
    "a port alone": ("[server]\nlisten = 6000\n", "(a port has a host in front: 127.0.0.1:50052)"),
    "spaces for commas": ("[server]\nlisten = a:1 b:2\n", "(several have commas between)"),
    "a path alone": ("[server]\nlisten = /tmp/x.sock\n", "(a path has unix: in front)"),
    "a long path": (f"[server]\nlisten = unix:/tmp/{'x' * 120}\n", "path of 125 bytes, at most 107 are possible"),
    "no path": ("[server]\nlisten = unix:\n", "the name of the socket is missing"),
    "a name that there is not": ("[server]\nlisten = nowhere.invalid:1\n", "[server] listen: nowhere.invalid:1: "),
    "no such repository": ("[models]\nrepository = /nowhere\n[server]\nlisten = localhost\n",
                           "f.conf:2: [models] repository: /nowhere: No such file or directory"),
    "and the rest besides": ("[models]\nrepository = /nowhere\n[server]\nlisten = localhost\n", "f.conf:4: [server] listen: localhost: "),
    "a file as repository": ("[models]\nrepository = f.conf\n", "Not a directory"),
    "no number": ("[limits]\nmax_connections = many\n", "f.conf:2: [limits] max_connections: 'many' is not a whole number"),
    "no device": ("[worker]\nworkers = gpu:0\n", "f.conf:2: [worker] workers: entry 1, 'gpu:0', is no device like"),
    "no such group": ("[server]\nunix_group = nogrp\n", "f.conf:2: [server] unix_group: nogrp: there is no such group"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_newcomers_write(tmp_path, what):
    """The error has file, line, key and value, and what is meant, where that can be told."""
    text, said = WRONG[what]
    rest = "" if "repository" in text else f"[models]\nrepository = {tmp_path}\n"
    (tmp_path / "f.conf").write_text(text + rest)
    done = check(tmp_path / "f.conf", "metrics.listen=")
    assert done.returncode == CONFIG and said in done.stderr, done.stderr


@pytest.mark.parametrize("text", ["\ufeff[server]\nlisten = 127.0.0.1:0\n", "[server]\r\nlisten = 127.0.0.1:0\r\n",
                                  "[server]\n\tlisten\t=\t127.0.0.1:0\n", "[server]\nlisten: 127.0.0.1:0\n", ""])
def test_what_editors_write(tmp_path, text):
    """A byte order mark, the line ends of Windows, tabs, colons, and nothing at all are no errors."""
    (tmp_path / "my models").mkdir()
    (tmp_path / "f.conf").write_text(text, encoding="utf-8", newline="")
    done = check(tmp_path / "f.conf", f"models.repository={tmp_path}/my models", "metrics.listen=", "server.runtime_dir=auto",
                 *([] if text else ["server.listen=127.0.0.1:0"]))
    assert done.returncode == OK and "listen = 127.0.0.1:0\n" in done.stdout, done.stderr


def test_command_lines_that_newcomers_write(tmp_path):
    for args, said in [(["conf/models"], "'conf/models' is no option: --config FILE names a configuration, --triton REPOSITORY"),
                       (["--config", "/nowhere"], "/nowhere: cannot be opened: No such file or directory"),
                       (["--config", tmp_path], "cannot be read: Is a directory"),
                       (["--config"], "requires an argument"), ([], "--config FILE or --triton REPOSITORY is needed"),
                       (["--config", CONF, "--set", "listen=1"], "expected section.key=value")]:
        done = modeld(*args)
        assert done.returncode in (USAGE, CONFIG) and said in done.stderr, done.stderr


def test_a_backend_that_does_not_say_what_it_knows(tmp_path):
    """It is named, and nothing is held against it."""
    (tmp_path / "models" / "m").mkdir(parents=True)
    (tmp_path / "models" / "m" / "model.conf").write_text("[model]\nbackend = mute\n[parameters]\na = 1\n")
    (tmp_path / "models" / "m" / "1").mkdir()
    (tmp_path / "mute.c").write_text(MUTE)
    subprocess.run(["cc", "-shared", "-fPIC", f"-I{ROOT}/workers", "-o", tmp_path / "mute.so", tmp_path / "mute.c"], check=True)
    done = modeld("--triton", tmp_path / "models", "--set", "server.listen=127.0.0.1:0", "--set", "metrics.listen=", "--set",
                  f"worker.backend_dirs={tmp_path}", "--set", "backend.mute.b=2", "--check")
    assert done.returncode == OK, done.stderr
    assert "; [backend.mute]: the backend does not say which settings it knows" in done.stdout
    assert "; m: [parameters]: the backend mute does not say which it knows" in done.stdout


def test_defaults_are_what_the_file_says(tmp_path):
    """Every key of conf/modeld.conf is a default (but for the model of requests that name none)."""
    (tmp_path / "empty.conf").write_text(f"[models]\nrepository = {ROOT}/conf/models\ndefault = digits\n")
    empty, full = check(tmp_path / "empty.conf"), check(CONF)
    assert empty.returncode == full.returncode == OK
    assert empty.stdout == full.stdout
    keys = set(re.findall(r"^(\w+) =", open(CONF).read(), re.M))
    assert keys == set(re.findall(r"^(\w+) =", full.stdout, re.M))


# These are nobody's limits: how much is made ahead, how large the pieces are, what is not worth compressing.
NO_LIMITS = {"input_populate_bytes", "input_populate_ahead_bytes", "output_populate_bytes", "segment_bytes", "min_bytes",
             "max_queue_delay_us", "recycle_after_unload_bytes", "max_frame_bytes"}


def limit_rows():
    """The rows of docs/limits.md: what is in each, by the names of the columns."""
    columns, rows = [], []
    for line in open(os.path.join(ROOT, "docs", "limits.md"), encoding="utf-8"):
        cells = [c.strip() for c in line.strip("|\n ").split(" | ")] if line.startswith("| ") else []
        if cells and cells[0] == "what":
            columns = cells
        elif cells:
            assert len(cells) == len(columns), line
            rows.append(dict(zip(columns, cells)))
    return rows


def test_every_limit_has_its_row():
    """docs/limits.md says of each who is charged, how it is shared and what happens past it."""
    rows = limit_rows()
    pages = "\n".join(" ".join(r.values()) for r in rows)
    section, missing, seen = "", [], 0
    for line in open(CONF, encoding="utf-8"):
        header, key = re.match(r"\[([\w.]+)\]", line), re.match(r"(?:; )?([a-z_0-9]+) =", line)
        section = header[1] if header else section
        if key and (section == "limits" or re.search(r"^max_|timeout|_bytes$", key[1])) and key[1] not in NO_LIMITS:
            seen += 1
            if not re.search(rf"\b{key[1]}\b", pages):
                missing.append(f"[{section}] {key[1]}")
    assert seen > 40 and not missing
    assert not [r for r in rows if not all(r.values())]
    assert sum("shared" in r for r in rows) > 35


def test_the_readmes_limits_are_those_of_the_configuration():
    """Each row of its table names keys that there are, with their defaults."""
    section, auto, values = "", "", {}
    for line in open(CONF, encoding="utf-8"):
        header, what, key = (re.match(p, line) for p in (r"\[([\w.]+)\]", r"; auto: (\w+)", r"([a-z_0-9]+) = (\S+)"))
        section = header[1] if header else section
        auto = what[1] if what else auto
        if key:
            values[section, key[1]] = auto if key[2] == "auto" else key[2]
    page = open(os.path.join(ROOT, "README.md"), encoding="utf-8").read()
    rows = page.split("\n| limit | default | past it |\n|---|---|---|\n")[1].split("\n\n")[0].splitlines()
    wrong, seen = [], 0
    for row in rows:
        names, defaults = row.split(" | ")[:2]
        section, keys = re.match(r"\| `\[(\w+)\] ", names)[1], re.findall(r"(\w+)`", names)
        defaults = re.sub(r" \(.*?\)", "", defaults).split(", ")
        defaults *= len(keys) if len(defaults) == 1 else 1
        for i in range(1, len(defaults)):
            defaults[i] = defaults[i - 1] if defaults[i] == "the same" else defaults[i]
        seen += len(keys)
        wrong += [row] if [values.get((section, key)) for key in keys] != defaults else []
    assert seen > 20 and not wrong


def test_the_readmes_limits_follow_the_page():
    """Each of its limits has a row in docs/limits.md, which says the same of what comes past it."""
    page = open(os.path.join(ROOT, "README.md"), encoding="utf-8").read()
    table = page.split("\n| limit | default | past it |\n|---|---|---|\n")[1].split("\n\n")[0].splitlines()
    wrong, before = [], set()
    for line in table:
        names, _, past = line.strip("| ").split(" | ")
        section, *keys = re.findall(r"\w+", "".join(re.findall(r"`(.*?)`", names.replace("`, `", " "))))
        for key in keys:
            rows = [" ".join(r.values()) for r in limit_rows() if re.search(rf"\b{key}\b", " ".join(r.values()))]
            named = [r for r in rows if re.search(rf"\[{section}\][^\[]*\b{key}\b", r)]
            codes = before if "the same" in past else set(re.findall(r"[A-Z]+_[A-Z]+", past))
            wrong += [] if named and any(codes <= set(re.findall(r"[A-Z]+_[A-Z]+", r)) for r in rows) else [(section, key, codes)]
        before = codes
    assert len(table) > 15 and not wrong


@pytest.mark.parametrize("line, names", [
    ("[server]\nnosuch = 1", ["2", "nosuch"]),
    ("[nosuch]\nkey = 1", ["2", "nosuch"]),
    ("key = 1", ["1", "key"]),
    ("[server]\ndrain_timeout_s = 1\ndrain_timeout_s = 2", ["3", "drain_timeout_s"]),
    ("[server]\ndrain_timeout_s = soon", ["2", "drain_timeout_s", "soon"]),
    ("[server]\ndrain_timeout_s = -1", ["2", "drain_timeout_s"]),
    ("[server]\ndrain_timeout_s = 99999999999999999999", ["2", "drain_timeout_s"]),
    ("[limits]\nmax_connections = 0", ["2", "max_connections", "1"]),
    ("[limits]\nmax_header_bytes = 16X", ["2", "max_header_bytes", "16X"]),
    ("[server]\nlog_level = loud", ["2", "log_level", "loud"]),
    ("[server]\nstrict_readiness = maybe", ["2", "strict_readiness", "maybe"]),
    ("[server]\nunix_mode = 0999", ["2", "unix_mode", "0999"]),
    ("[worker]\nworkers = gpu", ["2", "workers", "cpu:0"]),
    ("[compression]\nalgorithm = lzma", ["2", "algorithm", "lzma"]),
    ("[server", ["1"]),
    ("[server]\n" + "x" * 300 + " = 1", ["2"]),
    ("[server]\nlisten = 127.0.0.1:1\0", ["2"]),
])
def test_errors_name_file_line_and_key(tmp_path, line, names):
    path = tmp_path / "bad.conf"
    path.write_text(line + "\n")
    done = check(path)
    assert done.returncode == CONFIG and not done.stdout
    assert f"{path}:{names[0]}" in done.stderr, done.stderr
    for name in names[1:]:
        assert name in done.stderr, done.stderr


@pytest.mark.parametrize("value", ["server.nosuch=1", "nosuch.key=1", "server.listen", "listen=1", "=", "limits.max_connections=x"])
def test_bad_set(value):
    done = check(CONF, value)
    assert done.returncode == CONFIG and value.split("=")[0] in done.stderr


def test_missing_things(tmp_path):
    done = check(tmp_path / "nosuch.conf")
    assert done.returncode == CONFIG and "nosuch.conf" in done.stderr
    done = check(CONF, f"models.repository={tmp_path}/nosuch")
    assert done.returncode == CONFIG and "nosuch" in done.stderr
    done = check(CONF, "models.serve=digits, nosuch")
    assert done.returncode == CONFIG and "nosuch" in done.stderr


def test_command_line_goes_before_the_file(tmp_path):
    assert "max_connections = 5" in check(CONF, "limits.max_connections=4", "limits.max_connections=5").stdout


# --- sockets ---------------------------------------------------------------------------------------


def test_several_listeners(start):
    d = start(models=["identity"], listen="127.0.0.1:0, 127.0.0.1:0, [::1]:0, unix:modeld.sock, unix:two.sock")
    assert len(d.addresses) == 5 and any(a.startswith("[::1]:") for a in d.addresses)
    for address in d.addresses:
        assert d.infer("identity", b"x", channel=d.channel(address)).tensor_data.data == b"x"
        done = subprocess.run([os.path.join(BUILD, "modelctl"), "health", "-a", address])
        assert done.returncode == OK


@pytest.mark.parametrize("mode", ["0660", "0600", "0777"])
def test_unix_socket_mode(start, mode):
    old = os.umask(0o77)
    try:
        d = start(f"server.unix_mode={mode}", models=["identity"])
    finally:
        os.umask(old)
    path = d.unix.removeprefix("unix:")
    assert stat.S_IMODE(os.stat(path).st_mode) == int(mode, 8)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_unix_socket_group(start):
    d = start("server.unix_group=daemon", models=["identity"])
    assert os.stat(d.unix.removeprefix("unix:")).st_gid == grp.getgrnam("daemon").gr_gid
    assert check(CONF, "server.unix_group=nosuchgroup").returncode in (OK, CONFIG)


@pytest.mark.parametrize("address, code", [("nonsense", CONFIG), ("127.0.0.1:99999", CONFIG), ("203.0.113.1:1", SYSTEM),
                                           ("unix:/nonexistent/x.sock", SYSTEM)])
def test_addresses_that_cannot_be(start, address, code):
    d = start(models=["identity"], listen=address, ready=False)
    d.wait_end(code)
    assert address.removeprefix("unix:") in d.log()
    assert d.children() == []


def test_a_live_unix_socket_is_not_taken(start):
    d = start(models=["identity"])
    e = start(models=["identity"], listen=f"127.0.0.1:0, {d.unix}", ready=False)
    e.wait_end(SYSTEM)
    assert d.unix in e.log() and d.infer("identity", b"x", channel=d.channel(d.unix)).tensor_data.data == b"x"


@pytest.mark.parametrize("variable, directory", [("RUNTIME_DIRECTORY", ""), ("XDG_RUNTIME_DIR", "modeld")])
def test_runtime_directory(start, tmp_path, variable, directory):
    clean = {"RUNTIME_DIRECTORY": "", "XDG_RUNTIME_DIR": ""}
    d = start("server.runtime_dir=auto", models=["identity"], env=dict(clean, **{variable: str(tmp_path)}))
    path = tmp_path / directory / "modeld.sock"
    assert f"unix:{path}" in d.addresses and path.is_socket()
    assert d.infer("identity", b"x", channel=d.channel(f"unix:{path}")).tensor_data.data == b"x"


# --- surroundings ------------------------------------------------------------------------------------


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_an_unprivileged_user_from_a_checkout(tmp_path_factory):
    """build/modeld --config conf/modeld.conf as it is, by somebody who owns nothing but build/."""
    tree = tmp_path_factory.mktemp("checkout")
    os.makedirs(tree / "build")
    for name in ("modeld", "modeld-worker", "modelctl", "backends"):
        source = os.path.join(BUILD, name)
        (shutil.copytree if os.path.isdir(source) else shutil.copy)(source, tree / "build" / name)
    shutil.copytree(os.path.join(ROOT, "conf"), tree / "conf")
    os.chown(tree / "build", 65534, 65534)
    p = tree
    while str(p) != "/tmp" and p.parent != p:
        os.chmod(p, 0o755)
        p = p.parent
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "-u", "XDG_RUNTIME_DIR", "-u",
            "RUNTIME_DIRECTORY", "-u", "NOTIFY_SOCKET"]
    with open(tree / "log", "wb") as log:
        daemon = subprocess.Popen([*user, "build/modeld", "--config", "conf/modeld.conf", "--set",
                                   "server.listen=127.0.0.1:0, unix:modeld.sock", "--set", "models.serve=identity, simple",
                                   "--set", "models.default=identity"], cwd=tree, stderr=log)
    address = f"unix:{tree}/build/run/modeld.sock"
    try:
        ready = subprocess.run([*user, "build/modelctl", "wait-ready", "-t", "30", "-a", address], cwd=tree)
        assert ready.returncode == OK, (tree / "log").read_text()
        done = subprocess.run([*user, "build/modelctl", "infer", "--fill", "5", "--dtype", "u8", "--shape", "3", "-a",
                               address], cwd=tree, capture_output=True, text=True)
        assert done.returncode == OK and done.stdout.startswith("OUTPUT0: u8[3]")
        assert os.stat(tree / "build" / "run" / "modeld.sock").st_uid == 65534
        # Neither the daemon nor a worker is to be looked into by others of this user.
        for pid in [daemon.pid, *open(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read().split()]:
            assert os.stat(f"/proc/{pid}/environ").st_uid == 0, open(f"/proc/{pid}/cmdline").read()
    finally:
        daemon.terminate()
        assert daemon.wait(60) == OK


def test_lines_are_for_the_journal_only_when_stderr_is_the_journal(tmp_path):
    with open(tmp_path / "log", "wb") as f:
        s = os.fstat(f.fileno())
        for stream, prefix in ((f"{s.st_dev}:{s.st_ino}", b"<3>"), ("1:1", b""), ("junk", b"")):
            at = f.tell()
            subprocess.run([MODELD, "--config", "/nonexistent"], stderr=f, env=dict(os.environ, JOURNAL_STREAM=stream))
            f.seek(0, os.SEEK_END)
            line = open(f.name, "rb").read()[at:]
            assert line.startswith(prefix) and b"nonexistent" in line and (b"<3>" in line) == bool(prefix)


def test_service_manager_is_told(start):
    d = start(models=["identity"], ready=False)
    assert "STATUS=serving" in d.wait_notification("READY=1")
    assert d.infer("identity", b"x").tensor_data.data == b"x"
    d.terminate()
    d.wait_notification("STOPPING=1")
    d.wait_end(OK)


def test_ready_to_serve_in_a_tenth_of_a_second(start):
    """The best of a few: a busy machine may hold one up."""
    def start_ms():
        d = start(models=["identity", "simple"])
        return int(re.search(r" start_ms=(\d+)", d.log()).group(1))
    assert any(start_ms() < 100 for _ in range(10))


def test_a_closed_stderr_is_no_reason_to_fail(tmp_path):
    done = subprocess.run([MODELD, "--config", CONF, "--check"], stdout=subprocess.PIPE, close_fds=True,
                          preexec_fn=lambda: os.close(2))
    assert done.returncode == OK and b"[server]" in done.stdout


def test_log_level_is_the_workers_too(start):
    d = start("server.log_level=warning", models=["identity"], listen="unix:modeld.sock")
    assert d.infer("identity", b"x", channel=d.channel(d.unix)).tensor_data.data == b"x"
    for pid in d.children():
        os.kill(pid, signal.SIGKILL)
    wait_for("a warning", lambda: "worker lost" in d.log())
    d.stop()
    assert " info " not in d.log() and " debug " not in d.log()


def test_log_of_json(start):
    """Each line of the daemon and of its workers is an object, whatever names clients choose."""
    d = start("server.log_format=json", models=["identity"], listen="unix:modeld.sock")
    name = 'no "such" \x7f\xe9\n model=x'
    with pytest.raises(grpc.RpcError):
        d.infer(name, b"x", channel=d.channel(d.unix))
    for pid in d.children():
        os.kill(pid, signal.SIGKILL)
    wait_for("another worker", lambda: d.log().count('"worker ready"') == 2)
    d.stop()
    entries = [json.loads(line) for line in d.log().splitlines()]
    assert all({"time", "level", "component", "message"} <= set(e) for e in entries)
    lost = next(e for e in entries if e["message"] == "worker lost")
    assert lost["level"] == "warning" and lost["component"] == "pool" and lost["worker"] == "cpu:0/0"
    assert {"server", "pool", "dispatch", "modeld-worker"} <= {e["component"] for e in entries}
    assert isinstance(next(e for e in entries if e["message"] == "worker spawned")["pid"], int)


def test_check_tries_what_start_up_needs(tmp_path):
    """All of it is named, with file and line, not the first alone; nothing is left behind."""
    (tmp_path / "models" / "odd" / "1").mkdir(parents=True)
    (tmp_path / "models" / "odd" / "model.conf").write_text("[model]\nbackend = nosuch\n")
    path = tmp_path / "modeld.conf"
    path.write_text(f"""[server]
runtime_dir = {tmp_path}/run
listen = 203.0.113.7:0, unix:modeld.sock
    unix:/nonexistent/modeld.sock
unix_group = no-such-group
[models]
repository = {tmp_path}/models
[metrics]
listen =
[backend.onnxruntme]
x = 1
[backend.own]
worker = /nonexistent/own
""")
    done = check(path, "worker.program=/nonexistent/worker")
    assert done.returncode == CONFIG
    for text in (f"{path}:3: [server] listen: 203.0.113.7:0: ", f"{path}:3: [server] listen: /nonexistent: ",
                 f"{path}:5: [server] unix_group: no-such-group: there is no such group",
                 f"{path}:11: [backend.onnxruntme]: there is no such backend",
                 f"{path}:13: [backend.own] worker: /nonexistent/own: ",
                 "--set worker.program: [worker] program: /nonexistent/worker: ",
                 "model odd, version 1: [model] backend: nosuch: there is no such backend"):
        assert f"modeld: {text}" in done.stderr, done.stderr
    assert not (tmp_path / "run").exists()


def test_every_key_that_is_wrong_is_named(tmp_path):
    path = tmp_path / "bad.conf"
    path.write_text("[server]\nnosuch = 1\ndrain_timeout_s = soon\n\n[limits]\nmax_connections = 0\n")
    done = check(path, "http2.nosuch=1")
    assert done.returncode == CONFIG
    for text in (f"{path}:2: unknown key [server] nosuch", f"{path}:3: [server] drain_timeout_s: ", f"{path}:6: [limits] max_connections: ",
                 "--set http2.nosuch: "):
        assert f"bad configuration {text}" in done.stderr, done.stderr


@pytest.mark.parametrize("listen, warns", [("0.0.0.0:0, unix:modeld.sock", True), ("[::1]:0, 127.0.0.1:0, unix:modeld.sock", False)])
def test_whoever_may_come_is_warned_of(start, listen, warns):
    """Once, not for each address."""
    d = start(models=["identity"], listen=listen)
    assert d.log().count("neither TLS nor authentication") == (1 if warns else 0)
    if warns:
        assert f"listen = 127.0.0.1:{d.tcp.rpartition(':')[2]}, unix" in d.log(), "what is to be said instead has the port that it has"


def test_check_says_which_gpus_there_are_not(tmp_path):
    """By a worker, as it would be at a start: here with a stand-in that has one."""
    (tmp_path / "models").mkdir()
    config = tmp_path / "modeld.conf"
    config.write_text(f"[server]\nlisten = 127.0.0.1:0\nruntime_dir = {tmp_path}\n"
                      f"[models]\nrepository = {tmp_path}/models\n[worker]\nworkers = cuda:0, cuda:1, cpu:0\n")
    fake = os.path.join(BUILD, "fakecuda", "modeld-worker")
    done = check(config, f"worker.program={fake}", "worker.sandbox=off", env={**os.environ, "FAKECUDA": "devices=1"})
    assert done.returncode == CONFIG and f"{config}:7: [worker] workers: cuda:1: a worker finds no such GPU here" in done.stderr
    assert "workers: cuda:0" not in done.stderr and "no such device here" in done.stderr, done.stderr
    done = check(config, f"worker.program={fake}", "worker.sandbox=off", env={**os.environ, "FAKECUDA": "devices=2"})
    assert done.returncode == OK and "workers: cuda" not in done.stderr, done.stderr


def test_check_says_that_there_is_no_default_model(tmp_path):
    (tmp_path / "models" / "m" / "1").mkdir(parents=True)
    (tmp_path / "models" / "m" / "model.conf").write_text("[model]\nbackend = builtin\n[parameters]\nfunction = identity\n")
    config = tmp_path / "modeld.conf"
    config.write_text(f"[server]\nlisten = 127.0.0.1:0\nruntime_dir = {tmp_path}\n"
                      f"[models]\nrepository = {tmp_path}/models\ndefault = n\n")
    done = check(config)
    assert done.returncode == CONFIG and f"{config}:6: [models] default: n: there is no such model" in done.stderr
    for name in "m", "m:1", "":
        assert check(config, f"models.default={name}").returncode == OK
