"""Worker processes: forked from a server that has imported their modules, ended with whoever made them."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.job import forkserver
from pipelines.job.pool import Answer, Died, IsolatedPool
from pipelines.job.unit import FunctionName
from pipelines.job.worker import Returned

REPOSITORY = Path(__file__).resolve().parents[2]
SURROUNDINGS = FunctionName("job_units", "surroundings")
LIMIT_S = 60.0

Pools = Callable[..., IsolatedPool]


@pytest.fixture
def pools() -> Iterator[Pools]:
    """Makes pools that the test need not close."""
    made: list[IsolatedPool] = []

    def pool(function: FunctionName = SURROUNDINGS, workers: int = 1, modules: tuple[str, ...] = ()) -> IsolatedPool:
        made.append(IsolatedPool(function, workers, 4.0, modules=modules))
        return made[-1]

    yield pool
    for each in made:
        each.close()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """``module(name, body)`` can be imported; each import of it leaves a line in the file that is returned."""
    monkeypatch.syspath_prepend(tmp_path)
    imports = tmp_path / "imports.txt"

    def write(name: str, body: str) -> Path:
        (tmp_path / f"{name}.py").write_text(f"import os\nopen({str(imports)!r}, 'a').write(f'{{os.getpid()}}\\n')\n{body}\n")
        return imports

    return write


def ask(pool: IsolatedPool, *arguments: str) -> Answer:
    return pool.submit(*(arguments or ("HOME",)), limit_s=LIMIT_S).result(LIMIT_S)


def facts(answer: Answer) -> dict[str, str | int]:
    assert isinstance(answer, Returned)
    return answer.value


def is_alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] not in "ZX"


def wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_a_module_is_imported_once_for_all_workers(pools: Pools, module: Callable[[str, str], Path]) -> None:
    imports = module("imported_once", "")
    pool = pools(workers=3, modules=("imported_once",))
    found = [facts(answer.result(LIMIT_S)) for answer in [pool.submit("HOME", limit_s=LIMIT_S) for _ in range(6)]]
    (server,) = {one["parent"] for one in found}
    assert imports.read_text().split() == [str(server)]
    pool.close()
    again = facts(ask(pools(modules=("imported_once",))))
    assert again["parent"] == server and again["pid"] not in {one["pid"] for one in found}, "the server stays, workers do not"


def test_a_module_that_starts_a_thread_is_not_forked_with(
    pools: Pools, module: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    module("starts_a_thread", "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()")
    found = facts(ask(pools(modules=("starts_a_thread",))))
    server = forkserver._server
    assert server is not None
    with monkeypatch.context() as hurried:
        hurried.setattr(forkserver, "REPORT_S", 0.0)
        server.end()  # the other tests want one that forks; nobody waits for its end
    assert "pipelines.job.worker" in str(found["command"]) and found["parent"] == server.process.pid
    assert "pipelines.job.worker" not in str(facts(ask(pools()))["command"])


def test_a_module_that_cannot_be_imported_is_told_by_the_worker(pools: Pools, module: Callable[[str, str], Path]) -> None:
    module("broken_module", "raise ValueError('broken for the test')\ndef function(): pass")
    answer = pools(FunctionName("broken_module", "function")).submit(limit_s=LIMIT_S)
    with pytest.raises(RuntimeError, match="worker process does not start: exit code 1 ValueError: broken for the test"):
        answer.result(LIMIT_S)


def test_workers_begin_with_the_folder_and_the_environment_of_the_moment(
    pools: Pools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(pools())  # the server is there by now
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPACE_TEST", "of the moment")
    found = facts(ask(pools(), "SPACE_TEST"))
    assert (found["folder"], found["value"]) == (str(tmp_path), "of the moment")
    assert facts(ask(pools(), "OMP_NUM_THREADS"))["value"] == "1"


def test_a_server_that_is_killed_costs_the_tasks_at_work_and_no_more(pools: Pools) -> None:
    before = facts(ask(pools()))["parent"]
    assert ask(pools(FunctionName("job_units", "kill_parent"))) == Died(-9, "")
    assert facts(ask(pools()))["parent"] != before


def test_no_log_is_left_of_a_worker_that_never_began(
    pools: Pools, module: Callable[[str, str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    imports = module("takes_long", "import time\ntime.sleep(2)\ndef function(): pass")
    pool, began_s = pools(FunctionName("takes_long", "function")), time.monotonic()
    answer = pool.submit(limit_s=LIMIT_S)
    wait_until(imports.exists)
    pool.close()
    assert time.monotonic() - began_s < LIMIT_S and answer.done()
    assert not [file for file in tmp_path.iterdir() if file.suffix == ".log"]


MAKER = """
import time
from pipelines.job.pool import IsolatedPool
from pipelines.job.unit import FunctionName
found = IsolatedPool(FunctionName("job_units", "surroundings"), 1, 4.0).submit("HOME", limit_s=60).result().value
busy = IsolatedPool(FunctionName("time", "sleep"), 1, 4.0)
busy.submit(600, limit_s=600)
time.sleep(1)
print(found["parent"], flush=True)
time.sleep(600)
"""


def test_a_maker_that_is_killed_leaves_no_process() -> None:
    """Not even a worker that is in the middle of something."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests" / "support")])}
    maker = subprocess.Popen([sys.executable, "-c", MAKER], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert maker.stdout is not None
        server = int(maker.stdout.readline())
        below = [int(pid) for pid in Path(f"/proc/{server}/task/{server}/children").read_text().split()]
        assert len(below) == 2 and is_alive(server)
    finally:
        maker.kill()
        maker.wait()
    wait_until(lambda: not any(map(is_alive, [server, *below])))


def test_a_worker_that_is_killed_while_it_starts_is_the_machines_fault(pools: Pools) -> None:
    answer = pools(FunctionName("killed_at_start", "function")).submit(limit_s=LIMIT_S)
    with pytest.raises(ChildProcessError, match="worker process does not start: exit code -9"):
        answer.result(LIMIT_S)


def test_ctrl_c_ends_no_task(pools: Pools) -> None:
    assert ask(pools(FunctionName("job_units", "interrupted"))) == Returned("done all the same", ())


def test_the_server_imports_beforehand_without_a_worker(pools: Pools, module: Callable[[str, str], Path]) -> None:
    imports = module("imported_beforehand", "")
    forkserver.prepare(["imported_beforehand"])
    wait_until(lambda: imports.is_file() and bool(imports.read_text()))
    found = facts(ask(pools(modules=("imported_beforehand",))))
    assert imports.read_text().split() == [str(found["parent"])], "once, and where workers are forked from"


def test_a_server_that_nobody_had_a_worker_of_ends_at_once(module: Callable[[str, str], Path]) -> None:
    module("imports_for_long", "import time\ntime.sleep(600)")
    server = forkserver._Server()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forkserver, "_server", server)
        forkserver.prepare(["imports_for_long"])
    server.end()
    assert server.process.poll() is not None
