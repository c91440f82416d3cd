"""``space weights``: what it prints, and exit statuses that scripts can rely on."""

from pathlib import Path

import pytest
from declared_weights import declared_as, declared_file
from typer.testing import CliRunner

from pipelines.weights import app
from space_data import weights


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Declared: ``toy`` of two files, ``other`` of one."""
    (tmp_path / "source").mkdir()
    files = [tmp_path / "source" / name for name in ("a.bin", "b.bin")]
    for file in files:
        file.write_text(file.name)
    toy, other = [declared_file(file, f"toy/{file.name}") for file in files], declared_file(files[0], "o.bin")
    monkeypatch.setattr(weights, "declared", lambda: {"toy": declared_as(*toy), "other": declared_as(other)})
    return tmp_path / "folder"


def space(folder: Path, *arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [*map(str, arguments), "--folder", str(folder)])
    return done.exit_code, done.output


def test_from_nothing_to_verified(folder: Path) -> None:
    assert space(folder, "verify") == (0, f"{folder}: none of these weights are here\n")
    assert space(folder, "verify", "toy")[0] == 1, "asked for by name, absent is wrong"
    code, text = space(folder, "import", "toy", folder.parent / "source" / "a.bin")
    assert code == 0 and "SHA-256" in text and "licence: none" in text and "still missing: toy/b.bin" in text
    assert "1 of 2 files" in space(folder, "list")[1]
    code, text = space(folder, "import", "toy", folder.parent / "source")
    assert code == 0 and "missing" not in text
    code, text = space(folder, "verify", "toy")
    assert code == 0 and text.count("verified") == 2
    assert space(folder, "verify")[0] == 0, "what is not here is not wrong"


def test_a_damaged_file_makes_verify_fail(folder: Path) -> None:
    code, text = space(folder, "fetch", "other", "-q")
    assert code == 0 and str(folder / "o.bin") in text
    (folder / "o.bin").write_text("b.bin")
    code, text = space(folder, "verify")
    assert code == 1 and "WRONG" in text and "SHA-256" in text
    assert "WRONG" in space(folder, "list")[1]
