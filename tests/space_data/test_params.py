"""The configuration: defaults in the package, files and ``--set`` that override them key by key, errors that name the key."""

from pathlib import Path

import pytest
import yaml

from space_data import params
from space_data.errors import SpaceError
from space_data.params import Bound, load_params, merged, with_changes

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_defaults_are_the_repository_s_own_file() -> None:
    assert params.DEFAULTS.read_text() == (REPOSITORY / "params.yaml").read_text()


def test_without_a_file_the_defaults_hold(folder: Path) -> None:
    assert load_params() == load_params(REPOSITORY / "params.yaml")


def test_a_file_overrides_key_by_key(folder: Path) -> None:
    defaults = load_params()
    bounds = "filter: {length_s: {reject: 1.5}, overrides: {vox2: {luma_sd: {warn: 1, reject: 0}}}}"
    (folder / "params.yaml").write_text(f"job: {{workers: 7}}\n{bounds}\n")
    (folder / "other.yaml").write_text("job: {shards: 9}\n")
    found = load_params()
    assert (found.job.workers, found.job.shards) == (7, defaults.job.shards)
    assert found.filter.length_s == Bound(warn=defaults.filter.length_s.warn, reject=1.5)
    vox2 = found.filter.for_dataset("vox2")
    assert vox2.luma_sd == Bound(warn=1, reject=0) and vox2.face_width_px == defaults.filter.for_dataset("vox2").face_width_px
    other = load_params("other.yaml")
    assert (other.job.workers, other.job.shards) == (defaults.job.workers, 9), "--params replaces the folder's own file"
    changed = load_params("other.yaml", ["job.workers=3", "filter.overrides.mine.luma_sd.reject=null"])
    assert (changed.job.workers, changed.job.shards) == (3, 9)
    assert changed.filter.for_dataset("mine").luma_sd == Bound(warn=defaults.filter.luma_sd.warn, reject=None)


def test_only_comments_override_nothing(folder: Path) -> None:
    (folder / "params.yaml").write_text("# job: {workers: 7}\n")
    assert load_params() == load_params(REPOSITORY / "params.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("job: {worker: 3}", "job.worker: unknown key .is job.workers meant"),
        ("lenght_s: {warn: 3}", "lenght_s: unknown key .is filter.length_s meant"),
        ("filter: {overrides: {vox2: {face_widht_px: {warn: 3, reject: 1}}}}", "is filter.face_width_px meant"),
        ("filter: {overrides: {mine: {luma_sd: {reject: 1}}}}", "filter.overrides.mine.luma_sd.warn: missing key"),
        ("qwertz: 1", "qwertz: unknown key .misspelt"),
        ("job: {workers: 0}", "job.workers = 0: value error, need a whole number from 1 on, or auto"),
        ("s2l:", "s2l = None: input should be"),
        ("- job", "holds a list"),
        ("job: {", "not YAML"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, text: str, message: str) -> None:
    (folder / "mine.yaml").write_text(text)
    with pytest.raises(SpaceError, match=f"mine.yaml: .*{message}"):
        load_params("mine.yaml")


def test_a_file_that_is_not_there(folder: Path) -> None:
    with pytest.raises(SpaceError, match="none.yaml: no such file"):
        load_params("none.yaml")


def test_a_misspelt_default_is_not_offered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a checkout the defaults are the file that people edit."""
    (folder / "params.yaml").write_text((REPOSITORY / "params.yaml").read_text().replace("  workers:", "  workesr:"))
    monkeypatch.setattr(params, "DEFAULTS", folder / "params.yaml")
    with pytest.raises(SpaceError, match="job.workers: missing key; job.workesr: unknown key .is job.workers meant"):
        load_params()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("job.worker=3", "is job.workers meant"), ("job", "SECTION.KEY=VALUE"), ("=3", "SECTION.KEY=VALUE"),
        ("job..x=3", "SECTION.KEY=VALUE"), ("job.workers=[", "not YAML"), ("job.workers=", "job.workers = None"),
        ("job.workers.x=1", "job.workers = {'x': 1}"), ("filter.luma_sd=3", "filter.luma_sd = 3"),
    ],
)  # fmt: skip
def test_wrong_changes_are_named(change: str, message: str) -> None:
    with pytest.raises(SpaceError, match=f"--set {change.replace('[', '.')}: .*{message}"):
        with_changes(load_params(REPOSITORY / "params.yaml"), [change])


def test_merging_changes_neither_side() -> None:
    below, above = {"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"c": {"e": 4}}, "d": {"f": 5}}
    before = yaml.safe_dump([below, above])
    assert merged(below, above) == {"a": {"b": 1, "c": {"e": 4}}, "d": {"f": 5}}
    assert yaml.safe_dump([below, above]) == before
