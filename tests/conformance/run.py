#!/usr/bin/env python3
"""Conformance: onnx's own tests, loaded by modeld and called alone, several at once, by gRPC and by shared memory. What
comes back is what ONNX Runtime says when it is called directly, to the bit; what it refuses, modeld refuses.

    tests/conformance/run.py [--sample N] [--only TEXT] [--verbose]

Models with a batch are joined, too: results are those of ONNX Runtime for the same rows in one call. And where modeld
finds that joining is harmless, ONNX Runtime itself has to give each row the same answer in company as alone.
Prints a table and "N passed, N failed"; exit status 1 where anything is wrong.
"""
import argparse
import collections
import os
import re
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "system"), os.path.join(HERE, "..", "..", "clients", "python")]
import cases as all_cases  # noqa: E402
import modeld  # noqa: E402
import numpy as np  # noqa: E402
import onnx  # noqa: E402
from daemon import Daemon, wait_for  # noqa: E402
from reference import Reference, Refused, close, same  # noqa: E402

CHUNK = 250
AT_ONCE = 6
# What modeld says of models that it does not serve though ONNX Runtime does.
NOT_SUPPORTED = re.compile(r"is not served|are not served")


class Outcome:
    def __init__(self, case, path):
        self.case, self.path = case, path
        self.session, self.refused, self.want, self.random = None, "", {}, False
        self.kind, self.text, self.joined, self.harmless = "", "", 0, False

    def ask_reference(self):
        try:
            self.session = Reference(self.path)
            if not sendable(self.case.feed):
                return
            self.want = self.session.run(self.case.feed)
            again = self.session.run(self.case.feed)
            self.random = not all(same(self.want[k], again[k]) for k in self.want)
        except Refused as e:
            self.refused = str(e)

    def fail(self, text):
        if self.kind != "wrong":
            self.kind, self.text = "wrong", text

    def check(self, how, got):
        for name, value in got.items() if not self.refused else ():
            want = self.want[name]
            if self.random:
                if value.dtype != want.dtype:
                    self.fail(f"{how}: {name} is {value.dtype}, not {want.dtype}")
            elif not same(value, want):
                self.fail(f"{how}: {name} = {str(value)[:80]} {value.shape} {value.dtype}, not {str(want)[:80]} "
                          f"{want.shape} {want.dtype}")


def sendable(feed):
    return all(isinstance(v, np.ndarray) or np.isscalar(v) for v in feed.values())


def call_alone(outcome, name, local, remote):
    feed = outcome.case.feed
    outcome.check("shared memory", local.infer_all(name, feed))
    if len(feed) > 1:
        return "shared memory"
    for output in outcome.want:
        outcome.check("gRPC", {output: remote.infer_all(name, feed, outputs=[output])[output]})
    return "both"


def check_company(outcome, name, remote, pool):
    """Several calls at once; where they were joined the answer is that of so many copies in one call."""
    feed = outcome.case.feed
    (key, array), = feed.items()
    output = next(iter(outcome.want))
    rows = len(array) if np.ndim(array) else 0
    copies = {1: [outcome.want[output]]}
    for call in [pool.submit(remote.infer_all, name, feed, outputs=[output]) for _ in range(AT_ONCE)]:
        result = call.result()
        n = result.timings.batch_size
        if n not in copies:
            whole = outcome.session.run({key: np.concatenate([array] * n)})[output]
            copies[n] = [whole[i * rows:(i + 1) * rows] for i in range(n)]
        outcome.joined = max(outcome.joined, n)
        if not outcome.random and not any(same(result[output], part) for part in copies[n]):
            outcome.fail(f"{n} together: {str(result[output])[:120]}, not {str(copies[n][0])[:120]}")


def mirrored(array):
    """Other rows with values of the same kind."""
    return np.ascontiguousarray(np.flip(array)) if array.ndim else array


def check_rows(outcome):
    """modeld found that joining is harmless: by ONNX Runtime's own account it is."""
    feed = outcome.case.feed
    other = {k: mirrored(v) for k, v in feed.items()}
    try:
        alone = outcome.session.run(other)
        both = outcome.session.run({k: np.concatenate([feed[k], other[k]]) for k in feed})
    except Refused as e:
        if "index" not in str(e).lower():
            outcome.fail(f"joining was found harmless, but fails: {e}")
        return
    for name, value in both.items():
        rows = len(outcome.want[name])
        if len(value) != rows + len(alone[name]) or not close(value[:rows], outcome.want[name]) or not close(
                value[rows:], alone[name]):
            outcome.fail(f"joining was found harmless, but {name} changes in company")


def judge(outcome, name, info, local, remote, pool):
    if info.state != "ready":
        if outcome.session is None:
            outcome.kind, outcome.text = "refused", info.detail
        elif NOT_SUPPORTED.search(info.detail):
            outcome.kind, outcome.text = "not supported", info.detail
        else:
            outcome.fail(f"not loaded: {info.detail}")
        return
    if not sendable(outcome.case.feed):
        return outcome.fail("loaded, though an input is no tensor")
    try:
        how = call_alone(outcome, name, local, remote)
    except (modeld.ModeldError, ValueError) as e:
        if outcome.refused:
            outcome.kind, outcome.text = "refused", str(e)
        else:
            outcome.fail(f"{type(e).__name__}: {e}")
        return
    if outcome.refused:
        return outcome.fail(f"served, though ONNX Runtime refuses: {outcome.refused}")
    outcome.kind = outcome.kind or ("random" if outcome.random else f"served, {how}")
    if len(outcome.case.feed) == 1:
        check_company(outcome, name, remote, pool)
    outcome.harmless = info.max_batch_size > 1
    if outcome.harmless:
        check_rows(outcome)


def run_chunk(chunk):
    with tempfile.TemporaryDirectory(prefix="modeld-conformance-") as repository:
        outcomes = {}
        for case in chunk:
            directory = os.path.join(repository, case.name, "1")
            os.makedirs(directory)
            outcomes[case.name] = Outcome(case, os.path.join(directory, "model.onnx"))
            onnx.save(case.model, outcomes[case.name].path)
            outcomes[case.name].ask_reference()
        d = Daemon(f"models.default={chunk[0].name}", "model.max_queue_delay_us=2000", "server.log_level=warning",
                   repository=repository, ready=False)
        try:
            wait_for("the daemon", lambda: os.path.exists(os.path.join(d.directory, "handoff.sock")), 60)
            ask_daemon(d, outcomes)
            d.stop()
        finally:
            d.close()
        return list(outcomes.values())


def ask_daemon(d, outcomes):
    unix = "unix:" + os.path.join(d.directory, "modeld.sock")
    with modeld.connect(unix) as local, modeld.connect(unix, handoff=False) as remote, \
            ThreadPoolExecutor(AT_ONCE) as pool:
        wait_for("all models", lambda: all(i.state in ("ready", "failed") for i in local.models().values()), 300)
        infos = local.models()
        for name, outcome in outcomes.items():
            judge(outcome, name, infos[name], local, remote, pool)
            outcome.session = None


def short(text):
    return re.sub(r"\s+", " ", re.sub(r"'[^']*'|\d+", "…", text))[:110]


def table(outcomes, verbose):
    kinds = collections.Counter(o.kind for o in outcomes)
    print(f"\n{len(outcomes)} models, {sum(o.case.batched for o in outcomes)} of them with a batch\n")
    for kind in ("served, both", "served, shared memory", "random", "refused", "not supported", "wrong"):
        print(f"  {kinds[kind]:6}  {WORDS[kind]}")
    print(f"  {sum(o.harmless for o in outcomes):6}  of those served may be joined, and ONNX Runtime gives every row the "
          "same answer in company")
    print(f"  {sum(o.joined > 1 for o in outcomes):6}  of those served were joined with others")
    for kind in ("refused", "not supported"):
        reasons = collections.Counter(short(o.text) for o in outcomes if o.kind == kind)
        print(f"\n{WORDS[kind]}:")
        for reason, n in reasons.most_common(20):
            print(f"  {n:6}  {reason}")
    for o in outcomes:
        if o.kind == "wrong" or verbose:
            print(f"\n{o.kind}: {o.case.name}: {o.text}")
    print(f"\n{len(outcomes) - kinds['wrong']} passed, {kinds['wrong']} failed")
    return kinds["wrong"]


WORDS = {
    "served, both": "served: the same by gRPC, by shared memory and in company",
    "served, shared memory": "served with several inputs, which InferRequest does not carry: the same by shared memory",
    "random": "served: random, so only types are compared",
    "refused": "refused as ONNX Runtime refuses them",
    "not supported": "not supported",
    "wrong": "WRONG",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, default=0, help="so many, evenly spread; default all")
    parser.add_argument("--only", default="", help="those with this in their name")
    parser.add_argument("--verbose", action="store_true", help="say of each model what became of it")
    options = parser.parse_args()
    chosen = [c for c in all_cases.collect() if options.only in c.name]
    if options.sample and options.sample < len(chosen):
        chosen = [chosen[i * len(chosen) // options.sample] for i in range(options.sample)]
    outcomes = []
    for at in range(0, len(chosen), CHUNK):
        outcomes += run_chunk(chosen[at:at + CHUNK])
        print(f"{len(outcomes)} of {len(chosen)}", file=sys.stderr, flush=True)
    sys.exit(1 if table(outcomes, options.verbose) else 0)


if __name__ == "__main__":
    main()
