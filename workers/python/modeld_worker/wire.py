"""The messages between daemon and worker (proto/wire.proto): tables of which fields a message has, and of what is allowed in
them. codec.py reads and writes by them. docs/protocol.md has the limits and the conversation."""

PROTOCOL = 4
RECORD_MAX = 128 * 1024
ITEMS_MAX = TENSORS_MAX = 1024
RANK_MAX = 16
PAIRS_MAX = 64
NAME_MAX = 255
TEXT_MAX = 4096
RELEASE_MAX = 4096
LANES_FREE = 16  # a worker that is not told how many may have so many
REGION_BIT = 1 << 63
U32_MAX = (1 << 32) - 1
U64_MAX = (1 << 64) - 1
I64_MAX = (1 << 63) - 1


class WireError(ValueError):
    """What came is not what docs/protocol.md allows, or what is to be sent is not."""


class Number:
    """An unsigned number within limits; 0, or what `default` says, where it is missing."""

    def __init__(self, name, low=0, high=U32_MAX):
        self.name, self.low, self.high = name, low, high
        self.default = 0


class Numbers:
    """Numbers within limits, at most `count`."""
    default = ()

    def __init__(self, name, count, low=0, high=U64_MAX):
        self.name, self.count, self.low, self.high = name, count, low, high


class Text:
    default = ""

    def __init__(self, name, limit=TEXT_MAX):
        self.name, self.limit = name, limit


class Texts:
    default = ()

    def __init__(self, name, count, limit=TEXT_MAX):
        self.name, self.count, self.limit = name, count, limit


class Messages:
    """Messages of one class, at least `low` of them and at most `count`."""
    default = ()

    def __init__(self, name, of, count, low=0):
        self.name, self.of, self.count, self.low = name, of, count, low


class Message:
    """Attributes are the fields; one that was not set has its default."""
    FIELDS = {}

    def __init_subclass__(cls):
        for field in cls.FIELDS.values():
            setattr(cls, field.name, field.default)

    def __init__(self, **values):
        self.__dict__ = values

    def __eq__(self, other):
        return type(self) is type(other) and all(
            _plain(getattr(self, f.name)) == _plain(getattr(other, f.name)) for f in self.FIELDS.values())

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.__dict__.items())})"


def _plain(value):
    return list(value) if isinstance(value, tuple) else value


# --- Tables -----------------------------------------------------------------------------------


class Pair(Message):
    FIELDS = {1: Text("key", NAME_MAX), 2: Text("value")}


class Tensor(Message):
    FIELDS = {1: Number("index", high=TENSORS_MAX - 1), 2: Number("dtype", 1, 14), 3: Numbers("dims", RANK_MAX, 0, I64_MAX),
              4: Number("arena", 1, U64_MAX), 5: Number("generation", high=U64_MAX), 6: Number("offset", high=U64_MAX),
              7: Number("length", high=U64_MAX)}


class Setup(Message):
    FIELDS = {1: Number("protocol"), 2: Text("worker", NAME_MAX), 3: Text("device", NAME_MAX),
              6: Number("process", high=U64_MAX), 7: Number("output_bytes", high=U64_MAX),
              8: Number("output_populate_first", high=U64_MAX), 9: Number("slots"),
              11: Texts("backend_dirs", 64), 12: Messages("settings", Pair, PAIRS_MAX), 13: Number("busy_poll_us"),
              14: Number("log_level"), 15: Number("output_segment_bytes", high=U64_MAX), 16: Number("output_segments"),
              17: Number("output_idle_ms", high=U64_MAX), 18: Number("scratch_bytes", high=U64_MAX), 19: Number("holds"),
              20: Number("output_wait_ms", high=U64_MAX), 21: Number("threads")}


class WarmUpInput(Message):
    FIELDS = {1: Text("name", NAME_MAX), 2: Number("dtype", 1, 14), 3: Numbers("dims", RANK_MAX, 0, I64_MAX),
              4: Number("random", high=1), 5: Text("file")}


class WarmUp(Message):
    FIELDS = {1: Text("name", NAME_MAX), 2: Number("batch_size", 1), 3: Number("count", 1, 1000),
              4: Messages("inputs", WarmUpInput, TENSORS_MAX)}


class Load(Message):
    FIELDS = {1: Number("model"), 2: Text("name", NAME_MAX), 3: Text("version", NAME_MAX), 4: Text("path"),
              5: Text("backend", NAME_MAX), 6: Number("max_batch_size"), 7: Messages("parameters", Pair, PAIRS_MAX),
              8: Number("instances"), 10: Text("warmup_path"), 11: Messages("warmups", WarmUp, 64)}


class Unload(Message):
    FIELDS = {1: Number("model")}


class Target(Message):
    FIELDS = {1: Number("output", high=TENSORS_MAX - 1), 2: Number("arena", REGION_BIT, U64_MAX),
              3: Number("generation", high=U64_MAX), 4: Number("offset", high=U64_MAX), 5: Number("length", high=U64_MAX)}


class Item(Message):
    FIELDS = {1: Messages("inputs", Tensor, TENSORS_MAX), 2: Numbers("outputs", TENSORS_MAX, 0, TENSORS_MAX - 1),
              3: Messages("parameters", Pair, PAIRS_MAX), 4: Messages("targets", Target, TENSORS_MAX), 5: Text("traceparent", 55),
              6: Text("id", NAME_MAX), 7: Number("sequence", high=U64_MAX), 8: Text("sequence_text", NAME_MAX),
              9: Number("sequence_flags", high=3), 10: Text("tracestate", 512)}


class Map(Message):
    FIELDS = {1: Number("id", 1, U64_MAX), 2: Number("size", high=U64_MAX), 3: Number("writable", high=1)}


class Import(Message):
    FIELDS = {1: Number("id", REGION_BIT, U64_MAX), 2: Number("size", 1, U64_MAX), 3: Numbers("handle", 8),
              4: Number("writable", high=1)}


class Unmap(Message):
    FIELDS = {1: Number("id", 1, U64_MAX)}


class Run(Message):
    FIELDS = {1: Number("batch", high=U64_MAX), 2: Number("model"), 3: Messages("items", Item, ITEMS_MAX, low=1),
              4: Number("lane")}


class Release(Message):
    FIELDS = {2: Numbers("holds", RELEASE_MAX)}


class Cancel(Message):
    FIELDS = {1: Number("batch", high=U64_MAX), 2: Number("model"), 3: Number("lane")}


class Ping(Message):
    FIELDS = {1: Number("nonce", high=U64_MAX)}


class Drain(Message):
    pass


class Hello(Message):
    FIELDS = {1: Number("protocol"), 4: Number("slots"), 5: Text("sandbox", NAME_MAX),
              6: Text("sandbox_lacks", NAME_MAX), 8: Number("imports", high=1)}


class Declaration(Message):
    FIELDS = {1: Text("name", NAME_MAX), 2: Number("dtype", high=14), 3: Numbers("dims", RANK_MAX, -1, I64_MAX),
              4: Number("any_shape", high=1)}


class Loaded(Message):
    FIELDS = {1: Number("model"), 2: Number("ok", high=1), 3: Text("error"), 4: Messages("inputs", Declaration, TENSORS_MAX),
              5: Messages("outputs", Declaration, TENSORS_MAX), 6: Number("memory_bytes", high=U64_MAX),
              7: Number("max_batch_size"), 8: Number("lanes"), 9: Number("decoupled", high=1)}


class Ready(Message):
    pass


class Result(Message):
    FIELDS = {1: Number("code", high=16), 2: Text("message"), 3: Messages("outputs", Tensor, TENSORS_MAX),
              4: Number("hold", high=U64_MAX), 8: Number("joined", high=ITEMS_MAX)}


class Partial(Message):
    FIELDS = {1: Number("batch", high=U64_MAX), 2: Number("item", high=ITEMS_MAX - 1),
              3: Messages("outputs", Tensor, TENSORS_MAX), 4: Number("hold", high=U64_MAX), 5: Number("last", high=1),
              6: Number("compute_ns", high=U64_MAX)}


class Done(Message):
    FIELDS = {1: Number("batch", high=U64_MAX), 2: Number("compute_ns", high=U64_MAX),
              3: Messages("results", Result, ITEMS_MAX, low=1)}


class Pong(Message):
    FIELDS = {1: Number("nonce", high=U64_MAX)}


class Unmapped(Message):
    FIELDS = {1: Number("id", 1, U64_MAX)}


class Imported(Message):
    FIELDS = {1: Number("id", REGION_BIT, U64_MAX), 2: Text("error")}


class Unloaded(Message):
    FIELDS = {1: Number("model"), 2: Number("memory_bytes", high=U64_MAX), 3: Number("stayed_bytes", high=U64_MAX)}


class Bye(Message):
    FIELDS = {1: Text("reason")}


# Field numbers of Envelope.
TYPES = {1: Setup, 2: Load, 3: Unload, 4: Run, 5: Release, 6: Ping, 7: Drain, 8: Hello, 9: Loaded, 10: Ready, 11: Done,
         12: Pong, 13: Bye, 14: Map, 15: Unmap, 16: Unmapped, 17: Unloaded, 18: Partial, 19: Cancel, 22: Import, 23: Imported}
NUMBERS = {of: number for number, of in TYPES.items()}
