"""Nobody waits for a stranger: while one does his worst, twenty others are served. One process after the other (`-n0`): times
are compared. MODELD_STRANGERS_SECONDS says for how long each is at it."""
import pytest

from callers import holds_nothing
from cases import CASES
from daemon import wait_for
from harness import UNIX, judge, measure
from offenders import Stuck, odd_repository


def begin(case, start, tmp_path):
    sets, options = list(case.sets), dict(case.options, models=list(case.models))
    stuck, odd, early = (options.pop(k, False) for k in ("stuck", "odd", "early"))
    if odd:
        options["repository"], backends = odd_repository(tmp_path)
        options["models"] = None
        sets += [f"worker.backend_dirs={backends}", "models.default=identity"]
    if early:
        from test_loading import repository
        options |= {"repository": repository(tmp_path, identity=("identity", "load_ms = 3000")), "models": ["identity"], "ready": False}
    if stuck:
        log = Stuck()
        d = start(*sets, stderr=log.writing, ready=False, **options)
        log.pump(d)
        return d
    d = start(*sets, **options)
    if early:
        wait_for("both doors", lambda: len(d.addresses) == 2)
    return d


@pytest.mark.slow
@pytest.mark.parametrize("case,door", [pytest.param(c, door, id=f"{c.name} {door}") for c in CASES for door in c.doors])
def test_nobody_waits_for_a_stranger(start, tmp_path, table, case, door):
    d = begin(case, start, tmp_path)
    result = measure([d.tcp, d.unix], case.offend, d, door)
    table(f"{case.name}, {door}", result)
    judge(case.name, result, case.timed)
    if case.after:
        case.after(d)
    # Everything that was charged to anybody is given back.
    holds_nothing(d)
