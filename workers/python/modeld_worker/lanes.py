"""The lanes of a model whose calls overlap: a thread each, which runs the batches that name it one after the other."""
import queue
import threading


class Lanes:
    """`run(executor, batch)` is called in a lane's thread, with an executor of its own."""

    def __init__(self, executors, run):
        self._lanes = [_Lane(e, run) for e in executors]

    def give(self, number, batch):
        self._lanes[number].give(batch)

    def cancel(self, number, batch):
        """By the batch's number: what has begun may ask, what has not is not begun."""
        if number < len(self._lanes):
            self._lanes[number].cancel(batch)

    def end(self):
        """Nothing of them runs any more."""
        for lane in self._lanes:
            lane.end()


class _Lane:
    def __init__(self, executor, run):
        self._executor = executor
        self._run = run
        self._batches = queue.SimpleQueue()
        self._waiting = {}  # those that were not begun, by number
        self._thread = None  # until it is needed

    def give(self, batch):
        if not self._thread:
            self._thread = threading.Thread(target=self._serve, name="lane", daemon=True)
            self._thread.start()
        self._waiting[batch.batch] = batch
        self._batches.put(batch)

    def cancel(self, number):
        self._executor.cancel(number)
        waiting = self._waiting.get(number)
        if waiting:
            waiting.is_cancelled = True

    def end(self):
        if self._thread:
            self._batches.put(None)
            self._thread.join()

    def _serve(self):
        while True:
            batch = self._batches.get()
            if batch is None:
                return
            self._waiting.pop(batch.batch)
            self._run(self._executor, batch)
