"""``space weights``: list, fetch, import and verify published weights (``space_data.weights``)."""

from pathlib import Path
from typing import Annotated

import typer

from space_data import progress, weights

app = typer.Typer(
    help="Published weights that are not shipped: where they are from, whether they are here, whether they are the right ones.",
    no_args_is_help=True,
)
Folder = Annotated[Path, typer.Option(help="Where the weights lie (params.yaml names the same folder).")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="One of `space weights list`.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress bars, warnings only.")]
DEFAULT_FOLDER = Path("models/weights")
MEGABYTE = 1e6


@app.command("list")
def list_(folder: Folder = DEFAULT_FOLDER) -> None:
    """What there is, what it is for, its licence and size, and what of it is here."""
    for name, entry in weights.declared().items():
        size = f"{entry.bytes / MEGABYTE:.1f} MB" if entry.bytes is not None else "size not published"
        typer.echo(f"{name:<22} {_in_words(name, weights.states([name], folder))}")
        typer.echo(f"    for {entry.used_for}\n    licence: {entry.licence}\n    {size}: {entry.files[0].url}")


def _in_words(name: str, found: list[weights.State]) -> str:
    """``no``, ``yes``, which of several, or what is wrong."""
    kinds = {state.state for state in found}
    if weights.WRONG in kinds:
        return weights.WRONG
    if weights.is_complete(name, found):
        return "yes, in part verified" if weights.IN_PART in kinds else "yes"
    there = sum(state.state != weights.ABSENT for state in found)
    return f"{there} of {len(found)} files" if there else "no"


@app.command(epilog="Example: `space weights fetch whisper-tiny.en`. Interrupted: the same command goes on where it was.")
def fetch(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Of `space weights list`.")],
    folder: Folder = DEFAULT_FOLDER,
    quiet: Quiet = False,
) -> None:
    """Download weights from their publishers, verified before they appear under their names."""
    progress.setup(quiet)
    for name in names:
        entry = weights.declaration(name)
        typer.echo(f"{name}: licence {entry.licence}", err=True)
        typer.echo(weights.fetch(name, folder))


@app.command("import", epilog="Example: `space weights import whisper-tiny.en ~/Downloads/tiny.en.pt`.")
def import_(
    name: Name,
    source: Annotated[Path, typer.Argument(metavar="PATH", help="A file, or a folder or wheel that holds them (only read).")],
    folder: Folder = DEFAULT_FOLDER,
) -> None:
    """Take over weights that are on this machine: copied, and hashed as they are read."""
    progress.setup()
    for taken in weights.import_weights(name, source, folder):
        typer.echo(f"{taken.path}: from {taken.source}, {taken.path.stat().st_size:,} bytes, SHA-256 {taken.sha256}")
        if not taken.file.is_known_in_full:
            typer.echo(f"  only {len(taken.file.sha256)} digits of the hash are published; the whole is written down beside it")
    typer.echo(f"licence: {weights.declaration(name).licence}")
    missing = [state.file.file for state in weights.states([name], folder) if state.state == weights.ABSENT]
    if not weights.is_complete(name, weights.states([name], folder)):
        typer.echo(f"still missing: {', '.join(missing)}")


@app.command(epilog="Exit status 0: what is there is what was published (with NAME: and all that is needed is there); else 1.")
def verify(
    names: Annotated[list[str], typer.Argument(metavar="[NAME...]", help="Which ones; without: all.", show_default=False)] = [],  # noqa: B006
    folder: Folder = DEFAULT_FOLDER,
) -> None:
    """Hash weights and compare with what was published."""
    progress.setup(quiet=True)
    found = weights.states(names or list(weights.declared()), folder)
    for state in found:
        needed = state.name in names and not weights.is_complete(state.name, found)
        if needed or state.state != weights.ABSENT:
            typer.echo(f"{state.state:<16} {state.name}: {state.file.file}{f' ({state.detail})' if state.detail else ''}")
    if not any(state.state != weights.ABSENT for state in found):
        typer.echo(f"{folder}: none of these weights are here")
    wrong = any(state.state == weights.WRONG for state in found)
    if wrong or not all(weights.is_complete(name, found) for name in names):
        raise typer.Exit(1)
