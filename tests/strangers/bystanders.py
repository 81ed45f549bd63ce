"""Twenty ordinary callers, as a program: python bystanders.py [--retry] [--unary] ADDRESS [ADDRESS ...]. Each calls identity again and again,
with a pause in between, until standard input ends: twelve with 4 bytes, four with 1 MiB, four over streams. A line for each
call that ended: caller, kind, when it began and ended (CLOCK_MONOTONIC, seconds), "ok" or what went wrong. With --retry their
library sends again what was UNAVAILABLE; with --unary there are small calls instead of streams.

A process of its own, so that what the test does meanwhile is not in its times."""
import json
import os
import sys
import threading
import time

import grpc

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
import messages as m  # noqa: E402
from daemon import infer_request  # noqa: E402

MIB = 1 << 20
SMALL, LARGE, STREAM = "4 B", "1 MiB", "stream"
KINDS = [SMALL] * 12 + [LARGE] * 4 + [STREAM] * 4
PAUSE_S = {SMALL: 0.05, LARGE: 0.3, STREAM: 0.05}
STREAM_MESSAGES = 20
PATIENCE_S = 60
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1),
           ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
# The library keeps what it may have to send again, by default 256 KiB of a call.
RETRY = [("grpc.enable_retries", 1), ("grpc.per_rpc_retry_buffer_size", 4 * MIB), ("grpc.service_config", json.dumps({"methodConfig": [{
    "name": [{}], "retryPolicy": {"maxAttempts": 5, "initialBackoff": "0.1s", "maxBackoff": "2s", "backoffMultiplier": 2,
                                  "retryableStatusCodes": ["UNAVAILABLE"]}}]}))]
CODEC = dict(request_serializer=lambda r: r.SerializeToString(), response_deserializer=m.worker.InferResponse.FromString)


class Caller:
    def __init__(self, number, kind, channel, say, stopping):
        self.number, self.kind, self.say, self.stopping = number, kind, say, stopping
        self.unary = channel.unary_unary(m.WORKER_SERVICE + "Infer", **CODEC)
        self.stream = channel.stream_stream(m.WORKER_SERVICE + "InferStream", **CODEC)
        self.calls = 0

    def data(self):
        self.calls += 1
        mine = self.number.to_bytes(1, "little") + (self.calls & 0xffffff).to_bytes(3, "little")
        return mine * (MIB // 4) if self.kind == LARGE else mine

    def took(self, began, wrong="ok"):
        self.say(f"{self.number}\t{self.kind}\t{began:.6f}\t{time.monotonic():.6f}\t{wrong}")

    def call(self):
        data, began = self.data(), time.monotonic()
        reply = self.unary(infer_request("identity", data), timeout=PATIENCE_S)
        self.took(began, "ok" if reply.tensor_data.data == data else "another's answer")

    def call_stream(self):
        """A message is a call; the next one goes when it was answered."""
        sent = []

        def requests():
            for _ in range(STREAM_MESSAGES):
                if self.stopping.wait(PAUSE_S[STREAM]):
                    return
                sent.append((self.data(), time.monotonic()))
                answered.clear()
                yield infer_request("identity", sent[-1][0])
                answered.wait(PATIENCE_S)

        answered = threading.Event()
        for reply in self.stream(requests(), timeout=2 * PATIENCE_S):
            data, began = sent[-1]
            self.took(began, "ok" if reply.tensor_data.data == data else "another's answer")
            answered.set()

    def run(self):
        while not self.stopping.is_set():
            began = time.monotonic()
            try:
                self.call_stream() if self.kind == STREAM else self.call()
            except grpc.RpcError as e:
                self.took(began, f"{e.code().name}: {e.details()}".replace("\n", " ").replace("\t", " "))
            self.stopping.wait(PAUSE_S[self.kind])


def main(arguments):
    lock, stopping = threading.Lock(), threading.Event()

    def say(line):
        with lock:
            print(line, flush=True)

    options = OPTIONS[:-1] + RETRY if "--retry" in arguments else OPTIONS
    kinds = [SMALL if "--unary" in arguments and k == STREAM else k for k in KINDS]
    channels = [grpc.insecure_channel(a, options=options) for a in arguments if not a.startswith("--")]
    callers = [Caller(i, kind, channels[i % len(channels)], say, stopping) for i, kind in enumerate(kinds)]
    threads = [threading.Thread(target=c.run) for c in callers]
    for t in threads:
        t.start()
    sys.stdin.read()
    stopping.set()
    for t in threads:
        t.join()


if __name__ == "__main__":
    main(sys.argv[1:])
