"""Nothing that a cluster starts outlives it: without Java, on small programs."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.cluster.keeper import identity, is_running
from pipelines.cluster.processes import Command, Processes, free_ports, listens
from space_data.errors import SpaceError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="subreapers are Linux's")
LIMIT_S = 60.0
FAMILY = """
import os, subprocess, sys, time
from pathlib import Path
depth = int(sys.argv[1])
if depth:  # a launcher that starts a worker in a group of its own, as Beam's does
    subprocess.Popen([sys.executable, "-c", sys.argv[2], str(depth - 1), sys.argv[2]], process_group=0)
Path(f"generation-{depth}").write_text(str(os.getpid()))
time.sleep(600)
"""


def wait_for(ready: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while not ready():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def family(folder: Path) -> Command:
    return Command([sys.executable, "-c", FAMILY, "2", FAMILY], folder / "work")


def generations(folder: Path) -> list[str]:
    """Identities of a process, its child and its grandchild, once all three run."""
    files = [folder / "work" / f"generation-{depth}" for depth in (2, 1, 0)]
    wait_for(lambda: all(file.is_file() and file.read_text() for file in files))
    return [identity(int(file.read_text())) for file in files]


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    opened = Processes(tmp_path)
    opened.open(with_parent=True)
    yield opened
    opened.close()
    assert opened.survivors() == []


def test_a_killed_process_takes_its_descendants_along(processes: Processes) -> None:
    processes.start("a", family(processes.folder))
    processes.start("b", Command(["sleep", "600"], processes.folder))
    members = generations(processes.folder)
    assert all(is_running(member) for member in members)
    processes.kill("a")
    wait_for(lambda: not any(is_running(member) for member in members))
    status = processes.status("a")
    assert (status.running, status.exit_status) == (False, -signal.SIGKILL)
    assert processes.is_running("b")


def test_close_ends_everything_also_what_ignores_to_be_asked(processes: Processes) -> None:
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    processes.start("deaf", Command([sys.executable, "-c", stubborn], processes.folder))
    processes.start("a", family(processes.folder))
    members = generations(processes.folder)
    log = processes.status("deaf").log
    wait_for(lambda: "deaf" in log.read_text())
    processes.close()
    assert not any(is_running(member) for member in members)
    assert processes.survivors() == [] and not processes.is_open()


def test_a_killed_keeper_leaves_nothing_that_close_does_not_find(processes: Processes) -> None:
    processes.start("a", family(processes.folder))
    members = generations(processes.folder)
    os.kill(int((processes.folder / "keeper").read_text().split()[0]), signal.SIGKILL)
    wait_for(lambda: not is_running(members[0]))  # what it had started itself dies with it
    processes.close()
    assert not any(is_running(member) for member in members)


def test_a_cluster_ends_when_the_process_that_opened_it_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from pipelines.cluster.processes import Processes, Command\n"
        "opened = Processes(Path(sys.argv[1])); opened.open(with_parent=True)\n"
        "opened.start('a', Command([sys.executable, '-c', sys.argv[2], '2', sys.argv[2]], Path(sys.argv[1]) / 'work'))\n"
        "time.sleep(600)"
    )
    owner = subprocess.Popen([sys.executable, "-c", program, str(tmp_path), FAMILY], cwd=Path(__file__).resolve().parents[3])
    members = generations(tmp_path)
    owner.kill()
    owner.wait()
    wait_for(lambda: not any(is_running(member) for member in members))
    wait_for(lambda: Processes(tmp_path).survivors() == [])


def test_a_program_that_does_not_start_is_named(processes: Processes) -> None:
    with pytest.raises(SpaceError, match=r"(?s)missing: ended early.*No such file"):
        processes.start("missing", Command(["/no/such/program"], processes.folder))


def test_a_number_that_another_process_has_now_is_not_taken_for_the_old_one() -> None:
    assert is_running(identity(os.getpid()))
    assert not is_running(f"{os.getpid()} 1")


def test_free_ports_are_free_and_different() -> None:
    ports = free_ports(6)
    assert len(set(ports)) == 6 and not any(listens(port) for port in ports)
