"""Who is set upon a daemon, through which doors, and how that daemon is set."""
import resource

import offenders as o
from harness import HANDOFF, TCP, UNIX, Case

NET = (TCP, UNIX)
ALL = (TCP, UNIX, HANDOFF)
IMPATIENT = ("limits.receive_timeout_ms=5000", "limits.send_timeout_ms=5000")


def logged(text):
    def check(d):
        assert text in d.log(), "the offender did nothing of the kind"
    return check


def few_descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, (320, 320))


def same_workers(d):
    assert all(w.restarts == 0 for w in d.status().workers), "a worker was blamed for what the daemon did"


CASES = [
    Case("slow uploads", o.slow_uploads, NET, (*IMPATIENT, "memory.input_arena_bytes=320M")),
    Case("regions and requests that wait", o.waiting_regions, (HANDOFF,)),
    Case("held input", o.held_input, NET, IMPATIENT),
    Case("unread replies", o.unread_replies, NET, (*IMPATIENT, "worker.output_arena_bytes=64M")),
    Case("unread answers", o.unread_replies_handoff, (HANDOFF,), IMPATIENT),
    Case("unread streams of a shared connection", o.unread_streams, NET, IMPATIENT),
    Case("many streams", o.many_streams, NET),
    Case("compressed bombs", o.bombs, NET, ("limits.max_receive_message_bytes=16M", "compression.algorithm=gzip")),
    Case("descriptors that close slowly", o.descriptors_that_close_slowly, (UNIX, HANDOFF)),
    Case("hoarding", o.hoarding, ALL, options={"preexec": few_descriptors}),
    Case("lines in a log that nobody reads", o.provoking_lines, ALL, options={"stuck": True}),
    Case("slow work", o.slow_work, options={"workers": "cpu:0 x2"}),
    Case("loads that crash or hang", o.loads_that_end_badly,
         sets=("models.control=explicit", "models.load=identity", "worker.load_timeout_ms=2000",
               "worker.breaker_cooldown_ms=1000"),
         options={"odd": True}, after=logged("which is tried alone now")),
    Case("crashing model", o.crashes, models=("identity", "crash"), after=logged("worker lost")),
    Case("hung model", o.hangs, sets=("model.run_timeout_ms=2000",), models=("identity", "hang"),
         after=logged("run_timeout_ms")),
    Case("stalled daemon", o.stalls, sets=("worker.heartbeat_timeout_ms=2000", "worker.heartbeat_interval_ms=500"),
         after=same_workers, timed=False),
    Case("calls before the first model is loaded", o.nothing, options={"early": True}, timed=False),
    Case("breaches", o.breaches, NET),
    Case("garbage", o.garbage_handoff, (HANDOFF,)),
    Case("wrong requests on a shared connection", o.wrong_requests, NET),
    Case("floods", o.floods, NET),
    Case("cancels", o.cancels, NET),
    Case("cancels", o.cancels_handoff, (HANDOFF,)),
    Case("deadlines", o.deadlines, NET),
]
