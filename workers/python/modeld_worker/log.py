"""Lines of the worker's log, in the form of the daemon's own (src/base/log.c), on standard error.

A line leaves by one system call and never waits: one that finds a full pipe is lost and counted. What a model prints
becomes lines with its name, no more of them than a limit allows.
"""
import errno
import io
import json
import os
import socket
import stat
import sys
import threading
import time

ERROR, WARNING, INFO, DEBUG = range(4)
_NAMES = ["error", "warning", "info", "debug"]
_PRIORITIES = [3, 4, 6, 7]
LINE_MAX = 2047
# Of JSON, and the characters that are kept of each value of a line that is longer: one may take six bytes.
JSON_MAX = 4095
JSON_KEPT = 400
# What one model may print: so many lines at once, and a second.
BURST = 200
RATE = 50


class _Sink:
    """Where lines go."""

    def __init__(self):
        self.level = INFO
        self.fd = 2
        self.lost = 0
        self.journal = False
        self.json = False
        self.send = self._write

    def open(self):
        """Choose a way that does not wait."""
        mode = os.fstat(2).st_mode
        self.journal = self._is_journal()
        self.json = os.environ.get("MODELD_LOG_FORMAT") == "json"
        if stat.S_ISSOCK(mode):
            peer = socket.socket(fileno=os.dup(2))
            self.send = lambda line: peer.send(line, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        elif stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
            try:
                self.fd = os.open("/proc/self/fd/2", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
            except OSError:
                self.fd = 2

    @staticmethod
    def _is_journal():
        st = os.fstat(2)
        return os.environ.get("JOURNAL_STREAM") == f"{st.st_dev}:{st.st_ino}"

    def _write(self, line):
        os.write(self.fd, line)

    def put(self, level, program, message, fields):
        line = (self._as_json if self.json else self._as_text)(level, program, message, fields)
        try:
            self.send(line + b"\n")
        except OSError as e:
            if e.errno == errno.EBADF and self.fd != 2:  # a model has closed it
                self.fd = 2
                self.put(level, program, message, fields)
            elif e.errno in (errno.EAGAIN, errno.EPIPE, errno.EBADF, errno.ENOBUFS):
                self.lost += 1

    def _as_text(self, level, program, message, fields):
        """message key=value ...; strings with anything but plain characters are quoted."""
        head = f"<{_PRIORITIES[level]}>" if self.journal else _now() + " "
        pairs = [f" {k}={v if isinstance(v, int) else _quoted(str(v)[:LINE_MAX])}" for k, v in fields.items()]
        line = f"{head}{_NAMES[level]:<5} {program}: {message}{''.join(pairs)}".encode("utf-8", "replace")
        line = line.replace(b"\n", b" ").replace(b"\r", b" ")
        return line if len(line) <= LINE_MAX else line[:LINE_MAX - 3] + b"..."

    def _as_json(self, level, program, message, fields):
        """An object of JSON, as src/base/log_json.h has it."""
        head = f"<{_PRIORITIES[level]}>" if self.journal else ""
        entry = {"time": _now(), "level": _NAMES[level], "component": program, "message": message}
        entry.update((k + "_" if k in entry or k == "cut" else k, v if isinstance(v, int) else str(v)[:JSON_MAX])
                     for k, v in fields.items())
        line = _json_line(head, entry)
        if len(line) > JSON_MAX:
            short = {k: v[:JSON_KEPT] if isinstance(v, str) else v for k, v in entry.items()}
            line = _json_line(head, dict(short, cut=True))
        return line


def _now():
    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"


def _json_line(head, entry):
    text = json.dumps(entry, ensure_ascii=False, separators=(",", ":"))
    return (head + text).encode("utf-8", "replace")


_sink = _Sink()


def start():
    _sink.open()


def set_level(level):
    _sink.level = min(level, DEBUG)


def quote(text):
    """As it stands inside quotes in a line: printable, on one line."""
    out = []
    for c in str(text):
        if c in "\"\\":
            out.append("\\" + c)
        elif c == "\n":
            out.append("\\n")
        elif c == "\t":
            out.append("\\t")
        elif c.isascii() and c.isprintable():
            out.append(c)
        else:
            out.append("".join(f"\\x{b:02x}" for b in c.encode("utf-8", "replace")))
    return '"' + "".join(out) + '"'


def line(level, message, **fields):
    if level <= _sink.level:
        _sink.put(level, "modeld-python", message, fields)


def _quoted(text):
    return text if _is_plain(text) else quote(text)


def _is_plain(text):
    return bool(text) and text.isascii() and not set(text) & set(" \"\\='\t\n\r") and text.isprintable()


class Limiter:
    """At most BURST lines at once and RATE a second; what was left out is said."""

    def __init__(self):
        self._tokens = BURST
        self._at = time.monotonic()
        self._left_out = 0

    def admits(self):
        now = time.monotonic()
        self._tokens = min(BURST, self._tokens + (now - self._at) * RATE)
        self._at = now
        if self._tokens < 1:
            self._left_out += 1
            return False
        self._tokens -= 1
        return True

    def take_left_out(self):
        n, self._left_out = self._left_out, 0
        return n


class Voice:
    """The log of one model."""

    def __init__(self, worker, model):
        self._fields = {"worker": worker, "model": model}
        self._limiter = Limiter()

    def say(self, level, message, text):
        if level > _sink.level or not self._limiter.admits():
            return
        left_out = self._limiter.take_left_out()
        if left_out:
            line(WARNING, "a model printed more than is logged", **self._fields, lines=left_out)
        text = str(text)
        line(level, message, **self._fields, text=text or quote(text))

    def error(self, text):
        self.say(ERROR, "model says", text)

    def warning(self, text):
        self.say(WARNING, "model says", text)

    def info(self, text):
        self.say(INFO, "model says", text)

    def debug(self, text):
        self.say(DEBUG, "model says", text)


class Printed(io.TextIOBase):
    """sys.stdout or sys.stderr: each line becomes one of the log. What libraries write to the descriptor itself
    stays what it is: the last words of a process that dies must not wait in it."""

    def __init__(self, fd, level, voice_of):
        self._fd = fd
        self._level = level
        self._voice_of = voice_of  # () -> Voice, of the model that runs; None
        self._lock = threading.RLock()
        self._begun = ""
        self.buffer = _Bytes(self)

    encoding = "utf-8"
    errors = "replace"

    def fileno(self):
        return self._fd

    def writable(self):
        return True

    def reconfigure(self, **how):
        """Models ask what is behind print() for UTF-8, or for whole lines: it is so."""

    def write(self, text):
        with self._lock:
            *lines, self._begun = (self._begun + text).split("\n")
            if len(self._begun) > LINE_MAX:
                lines.append(self._begun)
                self._begun = ""
        for printed in lines:
            self._say(printed)
        return len(text)

    def _say(self, text):
        voice = self._voice_of()
        if voice:
            voice.say(self._level, "model prints", text)
        else:
            line(self._level, "printed", text=text)

    def finish(self):
        """What has no end of a line yet."""
        with self._lock:
            text, self._begun = self._begun, ""
        if text:
            self._say(text)


class _Bytes(io.RawIOBase):
    """sys.stdout.buffer"""

    def __init__(self, printed):
        self._printed = printed

    def writable(self):
        return True

    def write(self, data):
        self._printed.write(bytes(data).decode("utf-8", "replace"))
        return len(data)


_printed = []


def take_over_prints(voice_of):
    _printed[:] = Printed(1, INFO, voice_of), Printed(2, WARNING, voice_of)
    sys.stdout, sys.stderr = _printed


def finish_prints():
    """Ahead of the end. A model may have put something else in their place."""
    for printed in _printed:
        printed.finish()
