"""Stage corpus: the number of workers changes no byte, and nothing that was planned is missing."""

import csv
from pathlib import Path

import pytest

from pipelines.layout import Layout
from pipelines.stages import corpus
from space_data.params import load_params
from space_data.schema import KEPT, LedgerRow
from space_data.synthetic.defects import DEFECTS
from space_data.tables import read_table, table_files

A_FEW = ("two_faces", "audio_late_7", "blur", "truncated", "rotated")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[Layout]:
    """A tiny corpus, made by one worker and by two."""
    params = load_params(Path(__file__).parents[2] / "params.yaml")
    tiny = {
        "identities": 2, "clips_per_identity": 2, "test_identities": 1,
        "size_px": 64, "speech_only_identities": 2, "speech_only_minutes": 0.3,
    }  # fmt: skip
    layouts = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("space_data.synthetic.corpus.DEFECTS", {name: DEFECTS[name] for name in A_FEW})
        for workers in (1, 2):
            layout = Layout.in_folder(tmp_path_factory.mktemp(f"corpus{workers}"))
            job = params.job.model_copy(update={"workers": workers})
            corpus.run(params.model_copy(update={"corpus": params.corpus.model_copy(update=tiny), "job": job}), layout)
            layouts.append(layout)
    return layouts


def test_same_bytes_for_one_and_two_workers(made: list[Layout]) -> None:
    one, two = ({p.relative_to(m.corpus): p.read_bytes() for p in m.corpus.rglob("*") if p.is_file()} for m in made)
    assert sorted(one) == sorted(two) and [path for path in one if one[path] != two[path]] == []
    ledger_one, ledger_two = ([file.read() for file in table_files(m.ledger("corpus"))] for m in made)
    assert ledger_one == ledger_two


def test_everything_planned_is_there_and_listed(made: list[Layout]) -> None:
    root = made[0].corpus
    with (root / "manifest.csv").open() as file:
        listed = {row["clip"]: row for row in csv.DictReader(file)}
    assert {stem for stem in listed if stem.startswith("defects/")} == {f"defects/{name}" for name in A_FEW}
    guests = {stem: row["split"] for stem, row in listed.items() if row["subject"].startswith("guest")}
    assert list(guests.values()) == ["test"] and {row["split"] for stem, row in listed.items() if stem not in guests} == {""}
    assert len(listed) == 2 * 2 + 1 + len(A_FEW) and all((root / f"{stem}.mp4").is_file() for stem in listed)
    assert listed["defects/audio_late_7"]["planted_offset_frames"] == "7"
    with (root / "speech_only.csv").open() as file:
        heard = [row["clip"] for row in csv.DictReader(file)]
    assert heard and all((root / f"{stem}.wav").is_file() and (root / f"{stem}.parquet").is_file() for stem in heard)
    assert {row.status for row in read_table(made[0].ledger("corpus"), LedgerRow)} == {KEPT}
