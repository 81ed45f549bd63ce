"""Reads config.pbtxt, a protobuf in text form, into what Triton gives models as JSON: dicts, lists, numbers and texts."""
import re

_TOKEN = re.compile(r'''\s+|\#[^\n]*|(?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')'''
                    r'''|(?P<word>[A-Za-z_][\w.]*)|(?P<number>[-+]?[\d.][\w.+-]*)|(?P<mark>[{}\[\]<>:,;])''')
# Fields that may come several times, and are lists even where they come once.
_REPEATED = {"input", "output", "dims", "instance_group", "gpus", "profile", "label_filename", "preferred_batch_size",
             "batch_input", "batch_output", "model_warmup", "versions", "source_input", "target_name", "kind_of", "step",
             "control_input", "control", "state", "rate_limiter_resources"}
# Maps: a list of key and value in the file, a dict in JSON.
_MAPS = {"parameters", "metric_tags", "cc_model_filenames", "inputs", "input_map", "output_map"}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


class PbtxtError(ValueError):
    pass


def _tokens(text):
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if not match:
            raise PbtxtError(f"line {text.count(chr(10), 0, at) + 1}: '{text[at]}' is not expected")
        at = match.end()
        if match.lastgroup:
            yield match.lastgroup, match[0]
    yield "end", ""


def _scalar(kind, token):
    if kind == "text":
        return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), token[1:-1])
    if kind == "word":
        return {"true": True, "false": False}.get(token, token)
    if kind == "number":
        for convert in (lambda t: int(t, 0), float):
            try:
                return convert(token)
            except ValueError:
                pass
    raise PbtxtError(f"'{token}' is no value")


class _Parser:
    def __init__(self, text):
        self._tokens = list(_tokens(text))
        self._at = 0

    def _next(self):
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _take(self, mark):
        if self._tokens[self._at][1] == mark and self._tokens[self._at][0] == "mark":
            self._at += 1
            return True
        return False

    def message(self, end):
        fields = {}
        while True:
            kind, name = self._next()
            if name == end and kind in ("mark", "end"):
                return fields
            if kind != "word":
                raise PbtxtError(f"'{name}' is no name of a field")
            self._take(":")
            self._add(fields, name, self._value())
            _ = self._take(",") or self._take(";")

    def _value(self):
        if self._take("{"):
            return self.message("}")
        if self._take("<"):
            return self.message(">")
        if self._take("["):
            return self._list()
        kind, token = self._next()
        value = _scalar(kind, token)
        while kind == "text" and self._tokens[self._at][0] == "text":
            value += _scalar(*self._next())
        return value

    def _list(self):
        values = []
        while not self._take("]"):
            values.append(self._value())
            self._take(",")
        return values

    @staticmethod
    def _add(fields, name, value):
        values = value if isinstance(value, list) else [value]
        if name in _MAPS and all(isinstance(v, dict) and "key" in v for v in values):
            fields.setdefault(name, {}).update({v["key"]: v.get("value", {}) for v in values})
        elif name in _REPEATED or isinstance(value, list):
            fields.setdefault(name, []).extend(values)
        else:
            fields[name] = value


def parse(text):
    try:
        return _Parser(text).message("")
    except IndexError:
        raise PbtxtError("it ends too early") from None
