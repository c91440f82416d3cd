"""Running somebody's program once: in a private copy of its checkout, judged by the video that is there afterwards.

Never by the exit status: these programs end well after failing, and fail after having written a video. Never in the checkout: a
failed run leaves files that make the next one fail. Its working folder has no dot in its name, its inputs have plain names: one
program takes the first dot of a path for that of the suffix.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evaluation.external import guard
from evaluation.external.card import Program
from evaluation.external.shims import lay_out
from evaluation.reasons import NotCanonical
from space_data.errors import SpaceError
from space_data.files import sha256_of

LARGEST_COPIED_BYTES = 5_000_000
"""Larger files of a checkout, weights above all, are linked into the private copy; programs write over small ones only."""
NOT_COPIED = {".git", "__pycache__"}
LOG_FILE = "log.txt"
LAST_WORDS = 400


@dataclass(frozen=True)
class Made:
    """What a run left."""

    video: Path
    seconds: float
    arguments: tuple[str, ...]


def missing_files(program: Program, checkout: Path) -> list[Path]:
    """What of a system is not here; empty: it is installed."""
    if not checkout.is_dir():
        return [checkout]
    wanted = [checkout / name for name in program.required]
    if "/" in program.interpreter:
        wanted.insert(0, checkout / program.interpreter)
    return [path for path in wanted if not path.exists()]


def absence(program: Program, checkout: Path) -> str:
    """What of a system is not here, in words: the first missing file, or a command; empty: it is installed."""
    missing = missing_files(program, checkout)
    if missing:
        more = f" and {len(missing) - 1} more files" if len(missing) > 1 else ""
        return f"{missing[0]} is missing{more} (its repository says where they are from)"
    if "/" not in program.interpreter and shutil.which(program.interpreter) is None:
        return f"no {program.interpreter} on the PATH (--interpreter names another)"
    search = program.environment.get("PATH")
    unknown = [command for command in program.commands if shutil.which(command, path=search) is None]
    return f"it calls {unknown[0]}, and there is none on the PATH" if unknown else ""


def check_installed(name: str, program: Program, checkout: Path) -> None:
    """Raise SpaceError that names what is missing of a system that is not installed."""
    if missing := absence(program, checkout):
        raise SpaceError(f"{name}: not installed, {missing}")


def private_copy(checkout: Path, target: Path) -> None:
    """Copy a checkout: small files as they are, large ones as links to files that are only read."""
    for folder, folders, names in os.walk(checkout, followlinks=True):
        folders[:] = sorted(set(folders) - NOT_COPIED)
        here = target / Path(folder).relative_to(checkout)
        here.mkdir(parents=True, exist_ok=True)
        for name in names:
            source = Path(folder) / name
            if not source.is_file():
                continue
            if source.stat().st_size > LARGEST_COPIED_BYTES:
                (here / name).symlink_to(source.resolve())
            else:
                shutil.copy(source, here / name)


def run_program(program: Program, copy: Path, places: Mapping[str, Path]) -> Made:
    """Run a program in its private copy.

    Args:
        places: what the card's placeholders stand for.

    Raises:
        NotCanonical: ``timed_out``, or ``system_failed`` with its last words.
    """
    texts = {name: str(path) for name, path in places.items()}
    for name, text in program.files.items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text(text.format(**texts))
    interpreter = str(copy / program.interpreter) if "/" in program.interpreter else program.interpreter
    arguments = (interpreter, *(argument.format(**texts) for argument in program.arguments))
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {key: value.format(**texts) for key, value in program.environment.items()}
    if program.shims:
        shims = lay_out(program.shims, copy.parent / "shims")
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(shims), environment.get("PYTHONPATH"))))
    log = copy.parent / LOG_FILE
    began_s = time.monotonic()
    with log.open("wb") as output:
        guarded = (sys.executable, "-I", "-S", guard.__file__, *arguments)
        process = subprocess.Popen(
            guarded, cwd=copy, env=environment, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        assert process.stdin is not None
        try:
            process.wait(program.time_limit_s)
        except subprocess.TimeoutExpired as error:
            raise NotCanonical("timed_out", f"not done after {program.time_limit_s:g} s") from error
        finally:
            process.stdin.close()
            process.wait()
    seconds = time.monotonic() - began_s
    said = log.read_text(errors="replace")
    for words in program.refused:
        if words in said:
            raise NotCanonical("system_failed", f"it printed {words!r}: {_line_with(said, words)}")
    return Made(_output(program.output.format(**texts), copy, said), seconds, arguments)


def _output(pattern: str, copy: Path, said: str) -> Path:
    """The video that a run has left."""
    path = Path(pattern)
    root, inside = (path.parent, path.name) if path.is_absolute() else (copy, pattern)
    found = sorted(root.glob(inside)) if set("*?[") & set(inside) else [root / inside]
    there = [one for one in found if one.is_file()]
    if not there:
        words = " ".join(said.split())[-LAST_WORDS:]
        raise NotCanonical("system_failed", f"no {Path(pattern).name} after it ended; its last words: {words or 'none'}")
    if len(there) > 1:
        raise NotCanonical("ambiguous", f"it made {', '.join(one.name for one in there)}")
    return there[0]


def _line_with(text: str, words: str) -> str:
    return next(line.strip() for line in text.splitlines() if words in line)[:LAST_WORDS]


def commit_of(checkout: Path) -> str:
    """The commit that is checked out, as git's own files say; empty where they do not."""
    head = checkout / ".git" / "HEAD"
    if not head.is_file():
        return ""
    text = head.read_text().strip()
    reference = checkout / ".git" / text.removeprefix("ref: ")
    return text if not text.startswith("ref: ") else reference.read_text().strip() if reference.is_file() else ""


def record_of(program: Program, checkout: Path) -> dict[str, object]:
    """What was run: commit, hashes of the files that it needs, command, environment, interpreter."""
    files = [checkout / name for name in program.required if (checkout / name).is_file()]
    return {
        "commit": commit_of(checkout),
        "files": {path.relative_to(checkout).as_posix(): sha256_of(path) for path in files},
        "command": [program.interpreter, *program.arguments],
        "environment": dict(program.environment),
        "shims": list(program.shims),
        "padding": program.padding,
        "driven_by": f"Python {sys.version.split()[0]}",
    }
