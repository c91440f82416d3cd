"""Declared weights: found only if they are what the declaration says."""

import hashlib

import pytest

from space_data import weights
from space_data.errors import SpaceError


@pytest.fixture
def declared_toy(monkeypatch, tmp_path):
    content = b"a network"
    source = tmp_path / "source.bin"
    source.write_bytes(content)
    entry = weights.Declaration(
        file="toy.bin", url=source.as_uri(), bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(), licence="none", used_for="tests",
    )  # fmt: skip
    monkeypatch.setattr(weights, "declared", lambda: {"toy": entry})
    return source, tmp_path / "folder"


def test_every_declaration_is_complete():
    for entry in weights.declared().values():
        assert entry.licence and entry.used_for
        assert len(entry.sha256) == 64 and entry.bytes or entry.sha256 in entry.file, "whole, or as the file's name has it"
        assert len(entry.sha256) >= 10 and set(entry.sha256) <= set("0123456789abcdef")
        assert entry.url.startswith("https://")


def test_fetch_verifies_and_keeps(declared_toy):
    _, folder = declared_toy
    assert weights.find("toy", folder) is None
    path = weights.fetch("toy", folder)
    assert path.read_bytes() == b"a network"
    assert weights.find("toy", folder) == path


def test_another_file_under_that_name_is_refused(declared_toy):
    source, folder = declared_toy
    source.write_bytes(b"A network")
    with pytest.raises(SpaceError, match="SHA-256"):
        weights.fetch("toy", folder)
    assert weights.find("toy", folder) is None, "nothing may be left behind"


def test_unreachable_url_says_what_to_do(declared_toy):
    source, folder = declared_toy
    source.unlink()
    with pytest.raises(SpaceError, match="put the file into"):
        weights.fetch("toy", folder)


def test_unknown_name_lists_the_known():
    with pytest.raises(SpaceError, match="inception-2015-12-05"):
        weights.declaration("inceptoin")


def test_absence_names_the_command(declared_toy):
    _, folder = declared_toy
    assert "python -m space_data.weights toy" in weights.absence("toy", folder)


def test_leading_digits_of_a_hash_are_compared_too(declared_toy, monkeypatch):
    source, folder = declared_toy
    whole = weights.declaration("toy")
    monkeypatch.setattr(
        weights, "declared", lambda: {"toy": whole.model_copy(update={"sha256": whole.sha256[:10], "bytes": None})}
    )
    assert weights.fetch("toy", folder).read_bytes() == b"a network"
    source.write_bytes(b"another network")
    weights.find("toy", folder).unlink()
    with pytest.raises(SpaceError, match="SHA-256"):
        weights.fetch("toy", folder)
