"""Callers of the service, each again and again, until standard input ends: fifty over TCP with what gRPC does by default (calls that the
server has not begun are sent again), and with an argument, the path of its Unix socket, five more by libmodeld-py: of arrays that are
handed over, and small ones. Says "calling" when calls have come back, and at the end what became of them."""
import json
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "system"), os.path.join(os.path.dirname(os.path.dirname(HERE)), "clients", "python")]
import grpc  # noqa: E402

from callers import Callers  # noqa: E402
from local_callers import LocalCallers  # noqa: E402

LOCAL = 5
PATIENCE_S = 60


class Service:
    """As Callers want it."""

    def __init__(self):
        self.channels = []

    def channel(self):
        self.channels.append(grpc.insecure_channel("127.0.0.1:50052", [("grpc.use_local_subchannel_pool", 1)]))
        return self.channels[-1]


def go_on(all_of_them):
    before = [callers.done for callers in all_of_them]
    end = time.monotonic() + PATIENCE_S
    while any(callers.done < n + 20 and not callers.failures for callers, n in zip(all_of_them, before)):
        assert time.monotonic() < end, "no answers"
        time.sleep(0.02)


def main():
    kinds = {"tcp": Callers(Service(), 50)}
    if len(sys.argv) > 1:
        kinds["local"] = LocalCallers(f"unix:{sys.argv[1]}", LOCAL, sizes=(1 << 15, 4), timeout=PATIENCE_S)
    go_on(kinds.values())
    print("calling", flush=True)
    sys.stdin.read()
    go_on(kinds.values())
    for callers in kinds.values():
        callers.stop()
    print(json.dumps({kind: {"calls": c.done, "failures": c.failures, "slowest_ms": round(c.slowest * 1000)} for kind, c in kinds.items()}))


main()
