"""Lines of the log: their form, and how many there may be."""
import json
import re

import pytest

from modeld_worker import log


@pytest.fixture
def lines(monkeypatch):
    """What is logged, a line each."""
    said = []
    monkeypatch.setattr(log._sink, "send", said.append)
    monkeypatch.setattr(log._sink, "level", log.INFO)
    return said


def test_a_line_looks_like_the_daemons(lines):
    log.line(log.WARNING, "model not loaded", worker="cpu:0/1", ms=3, error='no "such"\nfile', empty="")
    assert re.fullmatch(rb'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warning modeld-python: model not loaded '
                        rb'worker=cpu:0/1 ms=3 error="no \\"such\\"\\nfile" empty=""\n', lines[0])


def test_json(lines, monkeypatch):
    monkeypatch.setattr(log._sink, "json", True)
    log.line(log.WARNING, "model not loaded", worker="cpu:0/1", ms=3, error='no "such"\nfile \xe9\udcff', time="x")
    entry = json.loads(lines[0])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry.pop("time"))
    assert entry == {"level": "warning", "component": "modeld-python", "message": "model not loaded", "worker": "cpu:0/1",
                     "ms": 3, "error": 'no "such"\nfile \xe9?', "time_": "x"}
    log.line(log.INFO, "long", text="\x01" * 5000)
    assert len(lines[1]) <= log.JSON_MAX + 1 and lines[1].count(b"\n") == 1
    assert json.loads(lines[1])["cut"] is True and json.loads(lines[1])["text"] == "\x01" * log.JSON_KEPT
    assert len(lines) == 2


def test_levels_and_long_lines(lines):
    log.line(log.DEBUG, "unseen")
    log.line(log.INFO, "long", text="x" * 5000)
    assert len(lines) == 1 and len(lines[0]) == log.LINE_MAX + 1 and lines[0].endswith(b"...\n")


def test_nothing_printed_can_forge_a_line(lines):
    log.Voice("w", "m").say(log.INFO, "model prints", "a\nerror modeld: b\r\x1b[31m\u2028")
    assert len(lines) == 1 and lines[0].count(b"\n") == 1
    assert b'text="a\\nerror modeld: b\\x0d\\x1b[31m\\xe2\\x80\\xa8"\n' in lines[0]


def test_a_full_pipe_costs_the_line_alone(monkeypatch):
    def full(line):
        raise BlockingIOError(11, "full")

    monkeypatch.setattr(log._sink, "send", full)
    before = log._sink.lost
    log.line(log.ERROR, "lost")
    assert log._sink.lost == before + 1


def test_a_model_prints_no_more_than_its_limit(lines, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(log.time, "monotonic", lambda: now[0])
    voice = log.Voice("w", "m")
    for i in range(1000):
        voice.info(str(i))
    assert len(lines) == log.BURST
    now[0] += 1
    voice.info("again")
    assert b"lines=800" in lines[-2] and b"text=again" in lines[-1]


def test_prints_become_lines(lines):
    out = log.Printed(1, log.INFO, lambda: log.Voice("w", "m"))
    print("one", 2, file=out)
    print("three", end="", file=out)
    assert len(lines) == 1 and b'model prints worker=w model=m text="one 2"' in lines[0]
    out.buffer.write(b"\xff four\n")
    assert b'text="three\\xef\\xbf\\xbd four"' in lines[1]
    out.write("x" * 3000)
    assert len(lines) == 3
    out.write("rest")
    out.finish()
    assert b"text=rest" in lines[3] and out.fileno() == 1 and out.writable()
