"""Code versions on the real modules: what an edit of which file recomputes."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.job import keys
from pipelines.job.unit import FunctionName

ROOT = keys.ROOT
STAGES = {
    "ingest": "probe_file", "measure": "measure_clip", "segment": "segment_shard", "sync": "score_shard",
    "filter": "decide_shard", "features": "features_of", "align": "align_source",
}  # fmt: skip
TRAININGS = ("space_models.s2l.task", "space_models.l2l.task")
FITS = ("space_models.posegen.fit", "space_models.generators.compact.training")


def forget() -> None:
    """Read all sources anew."""
    for cached in (keys.module_file, keys._source, keys._named, keys._dump, keys.closure, keys._assets, keys.code_version):
        cached.cache_clear()


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first-party packages, to be edited; their assets are links."""
    root = tmp_path_factory.mktemp("source")
    for package in keys.FIRST_PARTY:
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__", "assets"))
        if (ROOT / package / "assets").is_dir():
            (root / package / "assets").symlink_to(ROOT / package / "assets")
    return root


@pytest.fixture
def edited(copy: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str, str], set[str]]]:
    """``edited(file, old, new)``: the names of the stages and trainings whose version that moves."""
    monkeypatch.setattr(keys, "ROOT", copy)

    def versions() -> dict[str, str]:
        forget()
        found = {stage: keys.code_version(FunctionName(f"pipelines.stages.{stage}", name)) for stage, name in STAGES.items()}
        return found | {module: keys.module_version(module) for module in (*TRAININGS, *FITS)}

    def change(file: str, old: str, new: str) -> set[str]:
        before, path = versions(), copy / file
        text = path.read_text()
        assert old in text, f"{file} has no {old!r} any more: choose another edit"
        path.write_text(text.replace(old, new))
        try:
            after = versions()
        finally:
            path.write_text(text)
        return {name for name in before if before[name] != after[name]}

    yield change
    forget()


READERS = sorted(path.name for path in (ROOT / "pipelines" / "readers").glob("*.py") if path.name != "listing.py")


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_recomputes_nothing(edited: Callable[[str, str, str], set[str]], reader: str) -> None:
    assert edited(f"pipelines/readers/{reader}", "import", "import math\nimport") == set()


def test_comments_and_docstrings_recompute_nothing(edited: Callable[[str, str, str], set[str]]) -> None:
    assert edited("space_data/measures.py", '"""Grey picture', '"""Otherwise put: grey picture') == set()
    assert edited("pipelines/stages/measure.py", "\ndef ", "\n# why\ndef ") == set()


def test_how_a_stage_runs_recomputes_nothing(edited: Callable[[str, str, str], set[str]]) -> None:
    assert edited("pipelines/stages/measure.py", "def run(params: Params, layout: Layout) -> None:", "def run(p, at):") == set()
    assert edited("pipelines/job/faults.py", "BACK_OFF_S = (1.0,", "BACK_OFF_S = (2.0,") == set()
    assert edited("pipelines/audit/page.py", "import", "import math\nimport") == set()


def test_what_computes_a_result_recomputes_it_and_nothing_else(edited: Callable[[str, str, str], set[str]]) -> None:
    assert edited("space_data/measures.py", "def grey_difference(", "def grey_difference_(") == {"measure"}
    assert edited("space_data/tracks.py", "def track_in_crop(", "def track_in_crop(*_, ") == {"features"}
    assert edited("pipelines/deciding/rules.py", "def judge(", "def judge(*_, ") == {"filter"}
    assert {"measure", "features", "align"} <= edited("space_data/media/video.py", "def decode_video(", "def decode_video(*_, ")


def test_a_column_of_another_table_recomputes_nothing(edited: Callable[[str, str, str], set[str]]) -> None:
    assert edited("space_data/schema/evaluate.py", "class Aggregate:", "class Aggregate:\n    more: int") == set()
    assert edited("space_data/schema/sync.py", "class SyncWindow:", "class SyncWindow:\n    more: int") == {"sync"}
    assert "measure" in edited("space_data/schema/measure.py", "class FrameRow:", "class FrameRow:\n    more: int")


ROWS_USED_BY = {
    "corpus": {"features"}, "ingest": {"segment", "features"}, "measure": {"measure", "segment", "syncnet", "sync", "features"},
    "segment": {"segment", "sync", "filter"}, "syncnet": {"syncnet"}, "sync": {"sync", "filter"}, "filter": {"filter"},
    "features": {"features", "synthesize"}, "speech": {"speech"}, "align": set(), "synthesize": {"synthesize"},
    "evaluate": {"evaluate"},
    "animate": {"synthesize"}, "animate_batch": set(), "ledger": {"filter"}, "latents": {"latents"},
}  # fmt: skip
"""By file of ``space_data/schema``: the unit functions and trainings whose code names such rows."""


def test_the_rows_of_a_table_are_in_the_keys_of_those_that_use_it() -> None:
    units = STAGES | {
        "syncnet": "score_source", "speech": "encode_unit", "latents": "latents_of", "synthesize": "render_one",
        "evaluate": "score_one",
    }  # fmt: skip
    reached = {stage: keys.closure(f"pipelines.stages.{stage}", name)[0] for stage, name in units.items()}
    reached |= {module: keys.closure(module, keys.WHOLE)[0] for module in TRAININGS}
    modules = {name: {module for module, _ in definitions} for name, definitions in reached.items()}
    shared = {"__init__", "arrow", "columns", "labels"}
    files = {path.stem for path in (ROOT / "space_data" / "schema").glob("*.py")} - shared
    used_by = {file: {name for name, found in modules.items() if f"space_data.schema.{file}" in found} for file in files}
    assert used_by == ROWS_USED_BY
