"""The reading examples of ``docs/formats.md`` run as they stand, on tables with the layout of a run."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from made_up_measures import CLIP, GOOD

from pipelines.layout import Layout
from space_data.schema import (
    KEPT,
    Clip,
    Decision,
    FeatureClip,
    FeatureFrame,
    Measure,
    SegmentSync,
    emotion_vector,
)
from space_data.store import Place
from space_data.tables import write_sharded

PAGE = Path(__file__).resolve().parents[1] / "docs" / "formats.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A folder with a clip of 50 frames in every table that the examples read."""
    layout = Layout(data=Place.of(tmp_path / "data"))
    write_sharded(layout.clips, [CLIP], Clip, 2)
    segment = GOOD.__class__(**(GOOD.__dict__ | {"clip_id": CLIP.clip_id, "source_clip_id": CLIP.clip_id}))
    write_sharded(layout.measures, [segment], Measure, 2)
    decision = Decision(CLIP.clip_id, CLIP.clip_id, 0, KEPT, "", "", 0, 100, 0, 4, 0, 0.5)
    write_sharded(layout.decisions, [decision], Decision, 2)
    sync = SegmentSync(CLIP.clip_id, "shipped", 1, 1, 2, 0.5, 0.3, 0.4, 0.001)
    write_sharded(layout.sync_segments, [sync], SegmentSync, 2)
    vector = emotion_vector("happy", 1.0)
    clip = FeatureClip(CLIP.clip_id, "video", "set", "set/s", "", "train", vector, 50)
    write_sharded(layout.feature_clips, [clip], FeatureClip, 2)
    frames = [
        FeatureFrame(
            CLIP.clip_id, i, False, np.zeros(234, np.float32), np.zeros(7, np.float32), 0.3, 0.3, 0.0, 0.0,
            np.zeros(160, np.float32), np.zeros(52, np.float32), True,
        )
        for i in range(50)
    ]  # fmt: skip
    write_sharded(layout.feature_split("train"), frames, FeatureFrame, 2)
    return tmp_path


def test_there_are_examples_for_pandas_duckdb_and_pyarrow() -> None:
    assert [re.findall(r"^(?:import|from) (pandas|duckdb|space_data)", text, re.MULTILINE)[0] for text in EXAMPLES] == [
        "pandas", "duckdb", "space_data",
    ]  # fmt: skip


@pytest.mark.parametrize(("number", "printed"), [(0, "train (50, 78, 3) (50, 4, 40)"), (1, "neutral"), (2, "")])
def test_example_runs_as_it_stands(
    number: int, printed: str, run_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(run_folder)
    names: dict[str, object] = {}
    exec(compile(EXAMPLES[number], f"{PAGE.name}, example {number + 1}", "exec"), names)
    assert printed in capsys.readouterr().out
    if number == 2:
        assert names["clip_id"] == CLIP.clip_id and names["landmarks"].shape == (50, 78, 3)  # type: ignore[attr-defined]
    assert Path(os.getcwd()) == run_folder
