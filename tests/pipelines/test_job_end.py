"""A worker that its engine has forgotten ends with the run; one that shares its process with others stays."""

import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

from pipelines.job import job_end
from pipelines.job.job_end import WORKER_PROGRAM, is_engines_worker
from space_data.store import Place

ROOT = Path(__file__).resolve().parents[2]
WORKER = """
import sys, time
from pipelines.job import job_end
from pipelines.job.job_end import end_with_run
from space_data.store import Place
for name in sys.argv[1:]:
    end_with_run(Place.of(name), look_s=0.05)
print("watching", flush=True)
time.sleep(60)
"""


def worker(*notes: Path) -> "subprocess.Popen[str]":
    """A process that has nothing to do, as a forgotten worker, once it watches."""
    command = [sys.executable, "-c", WORKER, *map(str, notes)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "watching\n"
    return process


def test_a_worker_ends_when_the_last_run_that_it_knows_is_over(tmp_path: Path) -> None:
    notes = [tmp_path / name for name in ("first.json", "second.json")]
    for note in notes:
        note.write_text("{}")
    process = worker(*notes)
    notes[0].unlink()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    notes[1].unlink()
    assert process.wait(30) == 0, "Beam's launcher would start another one"


def test_a_store_that_does_not_answer_ends_no_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(place: Place) -> bool:
        raise OSError("the store is away")

    note = Place.of(tmp_path / "note.json")
    assert not job_end.is_there(note)
    monkeypatch.setattr(Place, "is_file", fail)
    assert job_end.is_there(note)


@pytest.mark.parametrize(("program", "ends"), [(WORKER_PROGRAM, True), ("apache_beam.runners.worker.worker_pool_main", False)])
def test_only_a_process_of_its_own_ends(program: str, ends: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    main = ModuleType("__main__")
    main.__spec__ = ModuleSpec(program, None)
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert is_engines_worker() == ends


def test_a_driver_that_is_its_own_worker_stays() -> None:
    assert not is_engines_worker()
