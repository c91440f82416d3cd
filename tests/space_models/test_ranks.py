"""Several ranks, kills and resumption: 2 gloo ranks under torchrun learn what one process learns, and only rank 0 writes."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_up_clips import write_clips
from made_up_features import write_features

from pipelines.layout import Layout

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "tests" / "support" / "train_on_ranks.py"
KILLED_AT = 62
"""A draw of step 15 of 24; the state was kept after step 12."""


def run(folder: Path, what: str, *more: str, ranks: int = 1, returns: int = 0) -> None:
    """Run the program as a process, or as ``ranks`` of them under torchrun."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)] if ranks > 1 else []
    path = ":".join(map(str, (ROOT, ROOT / "tests" / "support")))
    command = [sys.executable, *torchrun, str(PROGRAM), str(folder), what, *more]
    done = subprocess.run(command, env={"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False)
    assert done.returncode == returns, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs: ``whole`` and ``killed`` (which goes on) on one process; on two ``two`` and ``moved``, which goes on with the
    killed one."""
    folder, rng = tmp_path_factory.mktemp("ranks"), np.random.default_rng(0)
    with pytest.MonkeyPatch.context() as patch:
        write_clips(Layout.in_folder(folder), patch, 96)
    splits = {"train": ("neutral",), "val": ("happy",), "test": ("sad",)}
    for rank in range(2):
        write_features(Layout.in_folder(folder / f"stage-{rank}"), splits, rng)
    run(folder, "killed", str(KILLED_AT), returns=-signal.SIGKILL)
    for rank in range(2):
        shutil.copyfile(folder / "killed-0.state", folder / f"moved-{rank}.state")
    run(folder, "whole,killed")
    run(folder, "two,moved,stage", ranks=2)
    return folder


def result(folder: Path, run: str, rank: int = 0) -> dict:
    return json.loads((folder / f"{run}-{rank}.json").read_text())


def drawn(folder: Path, run: str, ranks: int = 1) -> dict[int, list[str]]:
    """Which clips each draw took."""
    lines = [line for rank in range(ranks) for line in (folder / f"{run}-{rank}.log").read_text().splitlines()]
    return dict(json.loads(line) for line in lines)


def test_a_killed_run_that_goes_on_equals_an_unbroken_one_bit_by_bit(folder: Path) -> None:
    whole, killed = result(folder, "whole"), result(folder, "killed")
    assert killed["resumed_from"] == 12 and whole["resumed_from"] == 0
    assert killed["curves"] == whole["curves"] and killed["weights"] == whole["weights"]


@pytest.mark.parametrize(("run", "first"), [("two", 0), ("moved", 12)])
def test_two_ranks_learn_the_same_from_the_same_data(folder: Path, run: str, first: int) -> None:
    whole, ours = result(folder, "whole"), result(folder, run)
    assert ours["resumed_from"] == first
    after = {draw: clips for draw, clips in drawn(folder, "whole").items() if draw >= 4 * first}
    assert drawn(folder, run, ranks=2) == after and len(after) == 4 * (24 - first)
    assert len(ours["curves"]) == len(whole["curves"]) == 4
    for row, wanted in zip(ours["curves"], whole["curves"], strict=True):
        assert row == pytest.approx(wanted, rel=1e-4)
    for name in ("curves", "weights"):
        assert result(folder, run, rank=1)[name] == ours[name], "all ranks hold the same"


def test_rank_0_alone_writes(folder: Path) -> None:
    assert [result(folder, "two", rank)["writes"] for rank in range(2)] == [True, False]
    for kind in ("state", "live"):
        assert (folder / f"two-0.{kind}").exists() and not (folder / f"two-1.{kind}").exists()
    made = [{p.relative_to(folder / f"stage-{r}").parts[0] for p in (folder / f"stage-{r}").rglob("*")} for r in range(2)]
    assert made[0] - made[1] == {"models", "stages", ".cache", "dvclive"} and not made[1] - made[0]
    card = json.loads((folder / "stage-0" / "models" / "s2l" / "card.json").read_text())
    assert card["held_out"] == "1 clips of split test" and card["training"]["training"]["micro_batches"] == 2
