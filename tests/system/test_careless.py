"""A backend that writes nothing, half, or all of its output, whatever it has promised: what it did not write is never what
another client and another model had there, on a host as on a GPU (a stand-in)."""
import os

import grpc
import pytest

from backends import compile_backend
from daemon import BUILD

FAKE = os.path.join(BUILD, "fakecuda")
BYTES = 8192


@pytest.fixture(scope="module")
def backends(tmp_path_factory):
    return compile_backend(tmp_path_factory.mktemp("careless"), "careless")


@pytest.fixture(scope="module", params=["cpu:0", "cuda:0"])
def asked(request, start_once, tmp_path_factory, backends):
    """(device, asked(model, value, halves, promises) -> the output's bytes)"""
    models = tmp_path_factory.mktemp("models")
    for name in ("secret", "careless"):
        (models / name / "1").mkdir(parents=True)
        (models / name / "model.conf").write_text("[model]\nbackend = careless\nmax_batch_size = 0\n")
    gpu = request.param == "cuda:0"
    d = start_once(f"worker.backend_dirs={backends}", *([f"worker.program={FAKE}/modeld-worker"] if gpu else []),
                   repository=str(models), models=["secret", "careless"], workers=request.param)
    return request.param, lambda model, *what: d.infer(model, bytes(what), [3]).tensor_data.data


@pytest.mark.parametrize("promises", [0, 1])
@pytest.mark.parametrize("halves", [0, 1, 2])
def test_what_was_not_written_is_nobody_elses(asked, halves, promises):
    device, ask = asked
    for _ in range(20):
        assert ask("secret", 0x77, 2, 1) == bytes([0x77]) * BYTES
        if device == "cpu:0" and promises and halves < 2:
            with pytest.raises(grpc.RpcError) as e:
                ask("careless", 0x11, halves, promises)
            assert e.value.code() == grpc.StatusCode.INTERNAL
            assert "said that it writes all of output 'OUTPUT', and did not" in e.value.details()
        else:
            n = BYTES // 2 * halves
            assert ask("careless", 0x11, halves, promises) == bytes([0x11]) * n + bytes(BYTES - n)
