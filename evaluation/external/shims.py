"""Compatibility shims: what an old program needs of today's libraries, outside its checkout, off unless named.

Each is a file of `assets/shims`: one thing that a library no longer does, in a Python that old interpreters read. Those asked for
are copied into a folder that comes first on the program's ``PYTHONPATH``; Python imports its ``sitecustomize`` before the program
begins. The record of a run says which there were.
"""

import ast
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

FOLDER = Path(str(files("evaluation") / "external" / "assets" / "shims"))
SHIMS = {path.stem: (ast.get_docstring(ast.parse(path.read_text())) or "").rstrip(".") for path in sorted(FOLDER.glob("*.py"))}
"""What each makes up for, by name."""
PREFIX = "space_shim_"


def lay_out(names: Sequence[str], folder: Path) -> Path:
    """A new folder for ``PYTHONPATH`` with which every Python begins with the shims ``names`` (of `SHIMS`), in this order."""
    folder.mkdir()
    for name in names:
        (folder / f"{PREFIX}{name}.py").write_text((FOLDER / f"{name}.py").read_text())
    (folder / "sitecustomize.py").write_text("".join(f"import {PREFIX}{name}\n" for name in names))
    return folder
