"""The program: checks what the daemon left it, and serves."""
import faulthandler
import os
import signal
import socket
import stat
import sys
import tempfile
import threading
import traceback

from . import log
from .status import CHANNEL_FD, EXIT_CONFIG, EXIT_OK, HANDOFF_FD

USAGE = """\
modeld-python runs models written in Python for modeld, which starts it: there is nothing to do by hand.
docs/python.md says how a model is written, docs/protocol.md what comes over descriptor 3.

  --check DIRECTORY [BACKEND]
                      load the model of a version's directory, print what it declares, end
  -V, --version       print the version
  -h, --help          print this
"""


def answer_arguments(arguments, version):
    """None: go on; else an exit status."""
    if not arguments:
        return None
    if arguments[0] in ("-V", "--version"):
        print(f"modeld-python {version}")
        return EXIT_OK
    if arguments[0] in ("-h", "--help"):
        print(USAGE, end="")
        return EXIT_OK
    if arguments[0] == "--check" and len(arguments) in (2, 3):
        return check(*arguments[1:])
    print(f"modeld-python: unknown argument '{arguments[0]}'\nTry 'modeld-python --help'.", file=sys.stderr)
    return EXIT_CONFIG


def check(directory, backend=None):
    """Loads the model as a worker would, in this process. 0, or 1 where that fails."""
    from . import wire
    from .model import LoadError
    choose_temporary_directory()
    model = _model_to_check(os.path.abspath(directory), backend or "python")
    # Of `modeld --check`, to which standard output is a place for the model's own words.
    out = os.fdopen(CHANNEL_FD, "w", closefd=False) if backend and _is_pipe(CHANNEL_FD) else sys.stdout
    try:
        model.load(wire.U32_MAX)
    except LoadError as e:
        print(f"{directory}: {e}", file=sys.stderr)
        return 1
    except (Exception, SystemExit):
        traceback.print_exc()
        return 1
    for what, declared in (("input", model.inputs), ("output", model.outputs)):
        for d in declared:
            print(f"{what} {d}", file=out)
    print("answers any number of times" if model.decoupled else "answers once", file=out, flush=True)
    model.unload()
    return EXIT_OK


def _model_to_check(path, backend):
    """As the daemon would have it loaded, as far as it has said."""
    from . import wire
    from .model import Model
    said = {name: [wire.Pair(key=line.split("=", 1)[0], value=line.split("=", 1)[1])
                   for line in os.environ.get(name, "").split("\n") if "=" in line]
            for name in ("MODELD_PARAMETERS", "MODELD_SETTINGS")}
    load = wire.Load(name=os.path.basename(os.path.dirname(path)), version=os.path.basename(path), path=path,
                     backend=backend, parameters=said["MODELD_PARAMETERS"])
    settings = [wire.Pair(key=f"{backend}.{s.key}", value=s.value) for s in said["MODELD_SETTINGS"]]
    return Model(load, wire.Setup(worker="check", device=os.environ.get("MODELD_DEVICE", "cpu:0"), settings=settings))


def _is_pipe(fd):
    try:
        return stat.S_ISFIFO(os.fstat(fd).st_mode)
    except OSError:
        return False


def is_socket(fd):
    """On 3: this is no accident, the daemon has started us."""
    try:
        return stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:
        return False


def take_handoff():
    """The descriptor by which other models can be asked; None: there is none."""
    if not is_socket(HANDOFF_FD):
        return None
    os.set_inheritable(HANDOFF_FD, False)  # children of models do not get it
    return HANDOFF_FD


def keep_from_forks(fds):
    """A process that a model forks has closed connections in their place: it is no worker, whatever code it comes back to."""
    def close():
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        theirs.close()
        for fd in fds:
            os.dup2(ours.fileno(), fd, inheritable=False)
        ours.close()

    os.register_at_fork(after_in_child=close)


def set_signals():
    """SIGTERM keeps its default. What a terminal sends to everybody in front of it is the daemon's business."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    faulthandler.enable(file=2)


def log_stacks_on_signal():
    """SIGUSR2 writes the stacks of all threads to the log. It is blocked in every thread but one, which waits for it and then
    has the interpreter's lock, so that no other changes its stack meanwhile. Where the lock cannot be had, the next
    signal finds that thread waiting for it, and the interpreter's own handler reads the stacks as they are. Ahead of other threads."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    faulthandler.register(signal.SIGUSR2, file=2)
    threading.Thread(target=_log_stacks, name="stacks", daemon=True).start()


def _log_stacks():
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR2})
    while True:
        signal.sigwait({signal.SIGUSR2})  # Linux: ahead of a handler
        faulthandler.dump_traceback(file=2)


def say_bye(reason):
    """To the daemon, in the place of Hello: it would know the exit status alone."""
    from . import wire
    from .channel import Channel, Closed
    try:
        Channel(CHANNEL_FD).add(wire.Bye(reason=reason[:1000]), now=True)
    except Closed:
        pass


def choose_temporary_directory():
    """A sandbox has none that can be written to, and libraries ask for its name although they write nothing there."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        tempfile.tempdir = os.environ.get("TMPDIR") or "/tmp"


def main(version):
    status = answer_arguments(sys.argv[1:], version)
    if status is not None:
        return status
    if not is_socket(CHANNEL_FD):
        print("modeld-python: modeld starts this program; by hand it does nothing.\nTry 'modeld-python --help'.",
              file=sys.stderr)
        return EXIT_CONFIG
    handoff_fd = take_handoff()
    keep_from_forks([CHANNEL_FD] if handoff_fd is None else [CHANNEL_FD, handoff_fd])
    choose_temporary_directory()
    set_signals()
    log_stacks_on_signal()
    log.start()
    try:
        from .loop import Loop
    except ImportError as e:
        log.line(log.ERROR, "modeld-python cannot start", interpreter=sys.executable, error=str(e),
                 hint="the model's interpreter needs numpy")
        say_bye(f"the model's interpreter, {sys.executable}, needs numpy: {str(e).strip().partition(chr(10))[0]}")
        return EXIT_CONFIG
    loop = Loop(CHANNEL_FD, handoff_fd)
    log.take_over_prints(loop.voice)
    status = loop.serve()
    log.finish_prints()
    # Threads of models may go on; nothing of them is waited for.
    os._exit(status)
