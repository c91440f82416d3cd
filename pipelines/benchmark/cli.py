"""``space benchmark``: test lists and systems; hand out what a system needs, take in what it made."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from space_data import progress
from space_data.params import Params, load_params

if TYPE_CHECKING:
    from evaluation.lists.clip_list import Resolved
    from pipelines.layout import Layout

app = typer.Typer(help="Compare systems on frozen test lists: hand out clips, take in videos.", no_args_is_help=True)

TestList = Annotated[
    str | None,
    typer.Option(
        "--list", metavar="NAME",
        help="One of `space benchmark list` or a .yaml file of one (default: synthesize.test_list, what `dvc repro` renders).",
    ),
]  # fmt: skip
Name = Annotated[str, typer.Argument(metavar="NAME", help="The system's name in tables: small letters, digits, _ and -.")]
ParamsFile = Annotated[Path | None, typer.Option("--params", metavar="FILE", help="Keys that differ from the defaults.")]
Checkouts = Annotated[Path, typer.Option(metavar="DIR", help="Folder of the repositories of other people's systems.")]
DEFAULT_CHECKOUTS = Path("checkouts")
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress bars, warnings only.")]


@app.command("list")
def list_(
    params: ParamsFile = None,
    checkouts: Checkouts = DEFAULT_CHECKOUTS,
) -> None:
    """The test lists and systems, with what is installed and what is missing."""
    from pipelines.benchmark.listing import lists_in_words, systems_in_words
    from pipelines.layout import Layout

    settings = load_params(params)
    layout = Layout.of(settings.job)
    for line in (*lists_in_words(settings, layout), "", *systems_in_words(checkouts, settings, layout)):
        typer.echo(line)


@app.command(epilog="Then make FOLDER/<clip_id>.mp4 of every clip, and `space benchmark add NAME FOLDER --card CARD.yaml`.")
def export(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Receives manifest.csv and files; new or empty.")],
    test_list: TestList = None,
    params: ParamsFile = None,
    quiet: Quiet = False,
) -> None:
    """Write portrait, 16 kHz sound, head pose and recording of every clip of a test list, with hashes."""
    progress.setup(quiet)
    from pipelines.benchmark.export import export as run

    settings, layout, listed = _run_of(params, test_list)
    manifest = run(out, listed, layout)
    _say(f"{manifest}: {len(listed.chosen)} clips of {listed.identities} identities, {listed.label}", quiet)


@app.command(epilog="A missing or broken video is a row with its reason (docs/benchmark.md); the exit status is 0 all the same.")
def add(
    name: Name,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Holds <clip_id>.mp4, or another container; only read.")],
    card: Annotated[Path, typer.Option(metavar="CARD.yaml", help="What the system is, and how its pictures are to be read.")],
    test_list: TestList = None,
    params: ParamsFile = None,
    quiet: Quiet = False,
) -> None:
    """Take in a system's videos of every clip of a test list; `space benchmark report` then scores and shows them."""
    progress.setup(quiet)
    from evaluation.external.card import read_card
    from pipelines.benchmark.add import add as run
    from pipelines.benchmark.add import summary

    settings, layout, listed = _run_of(params, test_list)
    _say(summary(run(name, folder, read_card(card), listed, settings, layout)), quiet)


@app.command(epilog="Example: `space benchmark run wav2lip --checkouts ~/repositories --interpreter ~/envs/wav2lip/bin/python`.")
def run(
    name: Name,
    checkouts: Checkouts = DEFAULT_CHECKOUTS,
    interpreter: Annotated[
        str | None, typer.Option(metavar="PATH", help="The Python that the system was installed for (default: its card's).")
    ] = None,
    card: Annotated[Path | None, typer.Option(metavar="CARD.yaml", help="Another card than the shipped one.")] = None,
    shim: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="What an old program needs of today's libraries (docs/benchmark.md). Repeatable."),
    ] = None,
    test_list: TestList = None,
    params: ParamsFile = None,
    quiet: Quiet = False,
) -> None:
    """Drive an installed system through a test list, each clip in a private copy of its checkout, then take its videos in."""
    progress.setup(quiet)
    from evaluation.external.card import read_card, shipped_card
    from pipelines.benchmark.add import summary
    from pipelines.benchmark.drive import run as drive

    chosen = (read_card(card) if card else shipped_card(name)).with_interpreter(interpreter).with_shims(shim or [])
    settings, layout, listed = _run_of(params, test_list)
    _say(summary(drive(name, chosen, checkouts, listed, settings, layout)), quiet)


@app.command()
def report(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Receives index.html, media, results.json, .csv, .tex, cite.bib.")],
    params: ParamsFile = None,
    quiet: Quiet = False,
) -> None:
    """Score what was rendered and added, and write the page of it; what was scored before is not scored again."""
    progress.setup(quiet)
    from pipelines.layout import Layout
    from pipelines.stages import evaluate
    from pipelines.stages.report import MEDIA, check_media, write_report

    settings = load_params(params)
    layout = Layout.of(settings.job)
    check_media(out / MEDIA)  # before minutes of scoring
    evaluate.run(settings, layout)
    count = write_report(out, settings, layout, "space benchmark report")
    _say(f"{out / 'index.html'}: {count} clips", quiet)


@app.command()
def diff(
    before: Annotated[Path, typer.Argument(metavar="A", help="A folder of `report`, or its results.json.")],
    after: Annotated[Path, typer.Argument(metavar="B", help="Another one.")],
) -> None:
    """Which figures differ between two benchmarks, and whether they may be compared at all."""
    from evaluation.benchmark_diff import as_table, differences, notes, read_results

    one, other = read_results(before), read_results(after)
    for note in notes(one, other):
        progress.console.print(f"[bold]not alike[/bold]: {escape(note)}", soft_wrap=True, highlight=False)
    found = differences(one, other)
    progress.console.print(as_table(found) if found else "no figure differs")


def _run_of(params: Path | None, test_list: str | None) -> "tuple[Params, Layout, Resolved]":
    """Settings, the run's folders, and the clips of the list that is asked for."""
    from pipelines.benchmark.choice import clips_to_score
    from pipelines.layout import Layout

    settings = load_params(params)
    layout = Layout.of(settings.job)
    return settings, layout, clips_to_score(test_list or settings.synthesize.test_list, settings.synthesize, layout)


def _say(text: str, quiet: bool) -> None:
    if not quiet:
        progress.console.print(escape(text), soft_wrap=True, highlight=False)
