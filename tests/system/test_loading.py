"""Models that are being loaded, and what that does to those that are loaded."""
from daemon import wait_for


def repository(path, **models):
    """A repository of builtin models: name -> (function, lines of [parameters])."""
    for name, (function, *lines) in models.items():
        (path / name / "1").mkdir(parents=True)
        (path / name / "model.conf").write_text(
            f"[model]\nbackend = builtin\n[parameters]\nfunction = {function}\n" + "".join(f"{x}\n" for x in lines))
    return str(path)


def test_only_what_is_not_ready_is_warned_of_and_with_a_reason(start, tmp_path):
    models = {f"a{i}": ("identity", "load_ms = 30") for i in range(4)}
    models |= {"b": ("nothing",), "c": ("identity", "load_ms = 30"), "d": ("nothing",), "e": ("identity",)}
    d = start(models=["e", *sorted(set(models) - {"e"})], repository=repository(tmp_path, **models), workers="cpu:0")
    warnings = [line for line in d.log().splitlines() if "model not ready" in line]
    assert sorted(x.split("model=")[1].split()[0] for x in warnings) == ["b", "d"]
    assert all("no function" in x for x in warnings)
    d.kill_a_worker()
    wait_for("the next worker", lambda: d.status().workers[0].restarts == 1 and
             sum(x.state == "ready" for x in d.status().models) == 6)
    assert "detail=\"\"" not in d.log()
