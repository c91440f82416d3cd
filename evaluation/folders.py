"""Folders that appear whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from space_data.errors import SpaceError
from space_data.files import make_folder, part_of


@contextmanager
def new_folder(path: Path, why: str = "") -> Iterator[Path]:
    """A temporary folder whose content becomes that of ``path`` if the block ends well, and is gone if not.

    It lies beside ``path``, or within where that is there already: it may be a mount, or where somebody's shell is.

    Raises:
        SpaceError: ``path`` is no new or empty folder (``why`` it has to be follows), or cannot be written.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise SpaceError(f"{path}: is there already, need a new or empty folder{why}")
    is_new, path = not path.exists(), path.absolute()
    make_folder(path.parent if is_new else path)
    part = part_of(path if is_new else path / "new")
    part.mkdir()
    try:
        yield part
        if is_new:
            os.replace(part, path)
        else:
            for made in part.iterdir():
                os.replace(made, path / made.name)
    finally:
        shutil.rmtree(part, ignore_errors=True)
