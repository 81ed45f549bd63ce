"""modeld.aio: calls that are awaited, beside each other, given up, and after the end."""
import asyncio
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import messages as m

sys.path.insert(0, os.path.join(m.ROOT, "clients", "python"))
import modeld  # noqa: E402
import modeld.aio  # noqa: E402


@pytest.fixture(scope="module")
def server(start_once):
    return start_once(models=["identity", "sleep"])


@pytest.fixture(params=["unix", "tcp"])
def address(request, server):
    return getattr(server, request.param)


def test_calls_beside_each_other(address):
    async def talk():
        async with await modeld.aio.connect(address, calls=4) as client:
            assert await client.is_ready() and "identity" in await client.models()
            assert (await client.model("identity")).backend == "builtin"
            results = await asyncio.gather(*(client.infer("identity", np.full(9, i)) for i in range(32)))
            assert [int(r[0]) for r in results] == list(range(32))
            large = client.empty(1 << 17, np.uint8)
            large[...] = 7
            assert {int(a.max()) for a in (await client.infer_all("identity", large)).values()} == {7}
            assert client.uses_shared_memory == address.startswith("unix:") and client.address == address

    asyncio.run(talk())


def test_errors_and_the_end(address):
    async def talk():
        client = await modeld.aio.connect(address)
        with pytest.raises(modeld.ModeldError) as e:
            await client.infer("nonsense", np.zeros(1))
        assert e.value.code == "NOT_FOUND"
        await client.close()
        await client.close()
        with pytest.raises(modeld.ConnectionLost):
            await client.is_ready()

    asyncio.run(talk())


def test_a_task_that_is_cancelled_ends_at_once(address):
    async def talk():
        async with await modeld.aio.connect(address, calls=1) as client:
            long = asyncio.ensure_future(client.infer("sleep", np.full(1, 200.0)))
            second = asyncio.ensure_future(client.is_ready())
            await asyncio.sleep(0)
            long.cancel()
            second.cancel()
            for task in (long, second):
                with pytest.raises(asyncio.CancelledError):
                    await task

    asyncio.run(talk())


def test_a_call_keeps_no_interpreter_from_its_end(start):
    """The daemon says nothing any more: the task is cancelled, and the program ends."""
    d = start(models=["identity"])
    program = f"""
import asyncio, modeld.aio, numpy as np, sys
async def talk():
    client = await modeld.aio.connect({d.unix!r})
    await client.infer("identity", np.zeros(1, np.uint8))
    print("stop", flush=True)
    sys.stdin.readline()
    task = asyncio.ensure_future(client.infer("identity", np.zeros(1 << 20, np.uint8)))
    await asyncio.sleep(0)
    task.cancel()
asyncio.run(talk())
"""
    client = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                              env=dict(os.environ, PYTHONPATH=os.path.join(m.ROOT, "clients", "python")))
    try:
        assert client.stdout.readline() == "stop\n"
        os.kill(d.pid, signal.SIGSTOP)
        client.stdin.write("\n")
        client.stdin.close()
        assert client.wait(60) == 0
    finally:
        os.kill(d.pid, signal.SIGCONT)
        client.kill()
        client.wait()


def test_after_a_fork_there_is_a_clear_error(server):
    async def talk():
        async with await modeld.aio.connect(server.unix) as client:
            await client.is_ready()
            child = os.fork()
            if child == 0:
                try:
                    await client.is_ready()
                except modeld.ConnectionLost as e:
                    os._exit(0 if "fork" in str(e) else 1)
                finally:
                    os._exit(2)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    asyncio.run(talk())
