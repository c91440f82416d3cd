"""``space study``: build a blind pairwise study of systems' videos, serve it to raters, analyse their answers."""

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from space_data import progress
from space_data.errors import SpaceError

if TYPE_CHECKING:
    from evaluation.study.sources import Sources

app = typer.Typer(help="Ask people which of two videos is better: blind pairs, kept votes, intervals.", no_args_is_help=True)
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress bars, warnings only.")]
StudyArgument = Annotated[Path, typer.Argument(metavar="STUDY", help="Folder made by `space study build`.")]
CONSENT = (
    "You will compare pairs of short videos of talking faces. Taking part is voluntary; you can stop at any time.",
    "We keep your answers, how long they took, and a random number for you: no name, no address, nothing about your device.",
)


@app.command(
    epilog="Examples: `space study build study --benchmark data --raters 20`; "
    "`space study build study --videos ours=a --videos wav2lip=b --videos recorded=c --recording recorded`."
)
def build(
    out: Annotated[Path, typer.Argument(metavar="STUDY", help="The folder to make; raters get STUDY/page alone.")],
    videos: Annotated[
        list[str], typer.Option(metavar="SYSTEM=FOLDER", help="Videos of a system, <clip id>.mp4 at any depth; may be repeated.")
    ] = [],  # noqa: B006
    benchmark: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Instead: data folder of a finished run, whose benchmark has the videos.")
    ] = None,
    pairs: Annotated[
        list[str], typer.Option("--pair", metavar="A:B", help="Systems to compare; may be repeated (default: all pairs).")
    ] = [],  # noqa: B006
    recording: Annotated[
        str | None, typer.Option(metavar="SYSTEM", help="The system that is the recordings: catch trials are made from it.")
    ] = None,
    sound: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="The clips' sound, <clip id>.wav (default: that of the recordings, or the first)."),
    ] = None,
    questions: Annotated[
        str, typer.Option(help="Of lip_sync, head_motion, expression, preference, with commas, or a .yaml file (default: all).")
    ] = "",
    raters: Annotated[int, typer.Option(min=1, help="Lists to make: whoever comes after so many raters gets one again.")] = 20,
    trials: Annotated[
        int, typer.Option("--trials-per-rater", min=1, help="Pairs that a rater sees, catch trials not counted.")
    ] = 12,
    catches: Annotated[int, typer.Option("--catch-trials", min=0, help="Pairs per rater whose right answer is known.")] = 3,
    least_catch: Annotated[
        float, typer.Option(min=0, max=1, help="Share of right answers to catch trials below which a rater does not count.")
    ] = 0.75,
    least_answered: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the list's answers given below which a rater does not count.")
    ] = 0.5,
    title: Annotated[str, typer.Option(help="What raters read on top; names no system.")] = "Talking faces: which is better?",
    contact: Annotated[str, typer.Option(help="Whom raters can ask.")] = "",
    consent: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Text that raters agree to, blank lines between paragraphs.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the design: who sees what, in which order and on which side.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Make a study: a page for raters, and study.json, which knows the names and stays with you."""
    progress.setup(quiet)
    from evaluation.study.build import Plan
    from evaluation.study.build import build as run
    from evaluation.study.manifest import Rule, Texts
    from evaluation.study.questions import chosen_questions
    from evaluation.study.sources import chosen_pairs, matched

    if (benchmark is None) == (not videos):
        raise SpaceError("study: need --videos SYSTEM=FOLDER twice or more, or --benchmark DIR, and not both")
    found = _of_benchmark(benchmark) if benchmark is not None else _of_folders(videos, sound, recording)
    asked = chosen_pairs(pairs, list(found.videos))
    paragraphs = tuple(" ".join(part.split()) for part in _text(consent).split("\n\n")) if consent else CONSENT
    study = run(
        out, matched(found, asked), asked, chosen_questions(questions),
        Texts(title=title, contact=contact, consent=paragraphs),
        Plan(raters, trials, catches, Rule(least_catch_share=least_catch, least_answered_share=least_answered), seed),
    )  # fmt: skip
    if quiet:
        return
    for clip_id, why in study.left_out.items():
        typer.echo(f"left out: clip {clip_id}, {why}", err=True)
    per_pair = raters * trials / len(study.pairs)
    typer.echo(
        f"{len(study.pairs)} pairs x {len(study.clips)} clips, {len(study.questions)} questions; {raters} lists of {trials} "
        f"trials and {catches} catches: {per_pair:.0f} votes per pair and question"
    )
    typer.echo(f"give raters {out / 'page'}, or run: space study serve {out}   (keep {out / 'study.json'} to yourself)")


@app.command(epilog="Ctrl-C or SIGTERM ends it; the same command goes on with the same votes.")
def serve(
    study: StudyArgument,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 0,
    host: Annotated[
        str, typer.Option(help="Address to listen on (default: this machine alone; for others put a proxy with TLS in front).")
    ] = "127.0.0.1",
) -> None:
    """Serve the page and keep the votes: in STUDY/votes.sqlite before they are acknowledged."""
    progress.setup()
    from evaluation.study.manifest import StudyFolder
    from evaluation.study.server import StudyServer

    def end(*_: object) -> None:
        raise KeyboardInterrupt  # what ends a service ends it as Ctrl-C does

    signal.signal(signal.SIGTERM, end)
    server = StudyServer(StudyFolder(study), host, port)
    try:
        # Within: who has read this line may end the service at once.
        typer.echo(f"{server.url}   votes so far: {len(server.votes.all())}; Ctrl-C ends")
        server.serve_forever()
    except KeyboardInterrupt:
        typer.echo(f"votes: {len(server.votes.all())}")
    finally:
        server.server_close()


@app.command()
def analyse(
    study: StudyArgument,
    answers: Annotated[
        list[Path], typer.Option(metavar="FILE", help="Answers that a rater saved as a file; may be repeated.")
    ] = [],  # noqa: B006
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Receives index.html, results.json and CSVs (default: STUDY/analysis).")
    ] = None,
) -> None:
    """Preference rates, strengths and raters' quality, from the server's votes and from answers saved as files."""
    progress.setup()
    from evaluation.study.answers import collected
    from evaluation.study.manifest import StudyFolder
    from evaluation.study.report import write_report
    from evaluation.study.results import results_of

    folder = StudyFolder(study)
    manifest = folder.read()
    results = results_of(manifest, collected(folder, manifest, answers))
    page = write_report(out or folder.root / "analysis", manifest, results)
    for line in results.in_words():
        typer.echo(line)
    typer.echo(page)


def _of_benchmark(data: Path) -> "Sources":
    """Videos of the stage ``synthesize``; what failed there is left out."""
    from evaluation.baselines.ground_truth import GroundTruth
    from evaluation.study.sources import Sources
    from pipelines.benchmark.clips import synthesized_clips
    from pipelines.layout import Layout
    from space_data.schema import KEPT
    from space_data.store import Place

    layout = Layout(data=Place.of(data))
    if not layout.synthesized_clips.is_file():
        raise SpaceError(f"{data}: no benchmark here (need synthesize/clips.parquet, as the pipeline's data folder has)")
    rows = [row for row in synthesized_clips(layout) if row.status == KEPT]
    systems = dict.fromkeys(row.system for row in rows)
    videos = {name: {row.clip_id: Path(row.video) for row in rows if row.system == name} for name in systems}
    sound = {row.clip_id: Path(row.audio) for row in rows}
    return Sources(videos, sound, GroundTruth.name if GroundTruth.name in videos else None)


def _of_folders(videos: list[str], sound: Path | None, recording: str | None) -> "Sources":
    from evaluation.study.sources import Sources, sounds_in, videos_in

    folders = {}
    for text in videos:
        name, separator, folder = text.partition("=")
        if not separator or not name or name in folders or ":" in name:
            raise SpaceError(f"--videos {text!r}: need SYSTEM=FOLDER, each system once, no colon in its name")
        folders[name] = videos_in(Path(folder))
    if recording is not None and recording not in folders:
        raise SpaceError(f"--recording {recording!r}: no such system, need one of {', '.join(folders)}")
    return Sources(folders, sounds_in(sound) if sound else folders[recording or next(iter(folders))], recording)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SpaceError(f"{path}: cannot be read as text ({error})") from error
