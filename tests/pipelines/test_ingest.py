"""Ingest: names of what cannot be read, splits by subject."""

from collections import Counter

import pytest

from pipelines.ingest import looks_like_text, split_of


@pytest.mark.parametrize(("head", "is_text"), [(b"plain words\n", True), ("müßig".encode(), True), (b"\0\0\0 ftypisom", False)])
def test_text_is_told_from_broken_media(head: bytes, is_text: bool) -> None:
    assert looks_like_text(head) is is_text


def test_splits_depend_on_the_subject_only_and_meet_their_shares() -> None:
    shares = {"train": 0.6, "val": 0.2}
    splits = {f"s{i}": split_of(f"s{i}", shares) for i in range(3000)}
    assert splits["s7"] == split_of("s7", shares)
    counts = Counter(splits.values())
    assert abs(counts["train"] - 1800) < 100 and abs(counts["val"] - 600) < 80 and abs(counts["test"] - 600) < 80
    assert split_of("s1", {"train": 0.0, "val": 0.0}) == "test"
