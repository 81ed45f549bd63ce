"""A worker that models share: what is left of those that were unloaded."""
from daemon import status_field
from modeld_worker import wire
from worker_program import IDENTITY, run, start_both_ways  # noqa: F401 (a fixture)

ROUNDS = 200
ROOM_KIB = 1024


def test_200_loads_and_unloads_leave_nothing(start):
    w = start()
    w.begin(IDENTITY)
    w.map_input(bytes(4096))

    def come_and_go(n):
        w.send(wire.Unload(model=1))
        assert w.take(wire.Unloaded).model == 1
        assert w.load(IDENTITY).ok
        w.send(run(n))
        w.send(wire.Release(holds=[w.take(wire.Done).results[0].hold]))

    def resident_kib():
        w.send(wire.Ping(nonce=1))
        w.take(wire.Pong)
        return status_field(w.process.pid, "RssAnon")

    for n in range(20):
        come_and_go(n + 1)
    before = resident_kib()
    for n in range(20, 20 + ROUNDS):
        come_and_go(n + 1)
    after = resident_kib()
    print(f"{before} KiB before, {after} KiB after")
    assert after <= before + ROOM_KIB
