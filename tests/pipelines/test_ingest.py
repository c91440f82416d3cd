"""Ingest: names of what cannot be read, splits by subject."""

from collections import Counter
from pathlib import Path

import pytest

from pipelines.ingest import _unit, looks_like_text, probe_file, split_of
from pipelines.job import Rejected
from pipelines.readers import Source


@pytest.mark.parametrize(("head", "is_text"), [(b"plain words\n", True), ("müßig".encode(), True), (b"\0\0\0 ftypisom", False)])
def test_text_is_told_from_broken_media(head: bytes, is_text: bool) -> None:
    assert looks_like_text(head) is is_text


def test_a_file_that_cannot_be_opened_is_rejected(tmp_path: Path) -> None:
    link = tmp_path / "gone.mp4"
    link.symlink_to(tmp_path / "nowhere.mp4")
    assert _unit(Source("set/gone", link, "set", "gone")).value == str(link)
    with pytest.raises(Rejected) as rejection:
        probe_file(str(link), None, tmp_path)
    assert rejection.value.reason == "unreadable" and "No such file" in rejection.value.detail


def test_splits_depend_on_the_subject_only_and_meet_their_shares() -> None:
    shares = {"train": 0.6, "val": 0.2}
    splits = {f"s{i}": split_of(f"s{i}", shares) for i in range(3000)}
    assert splits["s7"] == split_of("s7", shares)
    counts = Counter(splits.values())
    assert abs(counts["train"] - 1800) < 100 and abs(counts["val"] - 600) < 80 and abs(counts["test"] - 600) < 80
    assert split_of("s1", {"train": 0.0, "val": 0.0}) == "test"
