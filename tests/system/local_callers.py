"""Local clients that call while something else goes on, by libmodeld-py, which has to be in Python's path."""
import threading
import time

import grpc
import numpy as np

import modeld


class LocalCallers:
    """`n` threads, each calling identity again and again until stop(), with arrays of i64 of these sizes in turn; `shared` of them
    by one client, the others by clients of their own."""

    def __init__(self, address, n, shared=0, sizes=(1 << 14,), timeout=60, pause=0):
        self.address, self.sizes, self.timeout, self.pause = address, sizes, timeout, pause
        self.stopping, self.failures, self.done, self.slowest = threading.Event(), [], 0, 0
        self.shared = modeld.connect(address, timeout=timeout) if shared else None
        self.threads = [threading.Thread(target=self.run, args=(i, i < shared)) for i in range(n)]
        for t in self.threads:
            t.start()

    def run(self, number, is_shared):
        if is_shared:
            self.call_with(self.shared, number)
            return
        with modeld.connect(self.address, timeout=self.timeout) as client:
            self.call_with(client, number)

    def call_with(self, client, number):
        i = 0
        while not self.stopping.is_set():
            sent = np.full(self.sizes[i % len(self.sizes)], number * 1000003 + i, np.int64)
            i += 1
            began = time.monotonic()
            try:
                assert (client.infer("identity", sent, timeout=self.timeout) == sent).all()
                self.done += 1
                self.slowest = max(self.slowest, time.monotonic() - began)
            except (modeld.ModeldError, grpc.RpcError, AssertionError, OSError) as e:
                self.failures.append(repr(e))
            self.stopping.wait(self.pause)

    def stop(self):
        self.stopping.set()
        for t in self.threads:
            t.join()
        if self.shared:
            self.shared.close()
        return self.done, self.failures
