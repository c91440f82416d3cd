"""The command ``space``: animate a portrait, curate a folder of video."""

import signal
import sys
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from pipelines.benchmark.cli import app as benchmark
from pipelines.cluster.cli import app as cluster
from pipelines.demo.limits import Limits
from pipelines.demo.password import read_password
from pipelines.demo.serve import LOOPBACK, serve
from pipelines.options import (
    AudioTrack,
    BlinkDuration,
    Blinks,
    CalibrationFile,
    Changes,
    Emotion,
    Gaze,
    Generator,
    Models,
    MouthClosure,
    MouthGain,
    ParamsFile,
    PortraitEmotion,
    Pose,
    PoseOffset,
    PoseStrength,
    Quiet,
    Renderer,
    Seed,
    SpeechEncoder,
    TimelineFile,
    asked_controls,
    asked_credentials,
)
from pipelines.spoken_text import DEFAULT_VOICE, speech_of
from pipelines.streaming.cli import stream
from pipelines.study import app as study
from pipelines.weights import app as weights
from space_data import progress
from space_data.errors import SpaceError
from space_data.files import lengths_in_words
from space_data.params import load_params
from space_models.generators import DEFAULT_RENDERER

app = typer.Typer(
    help="Speech-driven portrait animation with controllable expression, and the curation of the video it learns from.",
    epilog="`space COMMAND --help` says more. Errors are one line and exit status 2; Ctrl-C leaves no half-written file.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data = typer.Typer(help="Look at, filter and prepare folders of video.", no_args_is_help=True)
app.add_typer(data, name="data")
audits = typer.Typer(help="Compare what two runs kept; list what other bounds would keep.", no_args_is_help=True)
app.add_typer(audits, name="audit")
app.add_typer(benchmark, name="benchmark")
app.add_typer(cluster, name="cluster")
app.add_typer(study, name="study")
app.add_typer(weights, name="weights")


class Dataset(StrEnum):
    """Corpora that have a reader (``pipelines.readers.READERS``, which is not imported for the sake of a quick --help)."""

    folder = "folder"
    hdtf = "hdtf"
    mead = "mead"
    ravdess = "ravdess"
    synthetic = "synthetic"
    voxceleb2 = "voxceleb2"


@app.command(
    epilog="Examples: `space animate --image portrait.jpg --audio speech.wav --out out.mp4`; with a smile and a head kept "
    "still: add `--emotion happy:0.8 --pose still`; two feelings at once: `--emotion happy:0.5+surprised:0.3`."
)
def animate(
    image: Annotated[
        Path,
        typer.Option(
            help="Portrait (PNG, JPEG, WebP, BMP, TIFF): one face from the front, 160 pixels wide or more, with hair and chin. "
            "Of several faces the largest is taken, of a video a good frame."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The .mp4 to make: 512x512, 25 frames per second, as long as the speech.")],
    audio: Annotated[
        Path | None,
        typer.Option(help="Speech: any sound file, or a video whose sound is taken. The video gets it as it is, mono or stereo."),
    ] = None,
    text: Annotated[str | None, typer.Option(help="Instead of --audio, for quick trials: text that espeak-ng says.")] = None,
    voice: Annotated[str, typer.Option(help="Of --text: a language, with a variant or not: de, en-us+f3.")] = DEFAULT_VOICE,
    emotion: Emotion = None,
    portrait_emotion: PortraitEmotion = "neutral",
    calibration: CalibrationFile = None,
    timeline: TimelineFile = None,
    pose: Pose = None,
    pose_strength: PoseStrength = None,
    pose_offset: PoseOffset = None,
    blinks: Blinks = None,
    blink_duration: BlinkDuration = None,
    gaze: Gaze = None,
    mouth_gain: MouthGain = None,
    mouth_closure: MouthClosure = None,
    seed: Seed = 0,
    generator: Generator = Renderer(DEFAULT_RENDERER),
    size: Annotated[int | None, typer.Option(help="Side of the video in pixels, even, 128 to 1024 (default: 512).")] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Photo, landmarks and result side by side.")] = False,
    paste_back: Annotated[
        bool, typer.Option("--paste-back", help="The whole photo, at its own size, with the animated face in it.")
    ] = False,
    watermark: Annotated[bool, typer.Option("--watermark", help="'AI-generated' in a corner of the picture.")] = False,
    sign_cert: Annotated[
        Path | None,
        typer.Option(metavar="PEM", help="Sign the video (C2PA) with this certificate and those that issued it, in one file."),
    ] = None,
    sign_key: Annotated[Path | None, typer.Option(metavar="PEM", help="Its private key.")] = None,
    speech_encoder: SpeechEncoder = None,
    audio_track: AudioTrack = None,
    tracks: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write all that drives the face, per frame, to this .parquet.")
    ] = None,
    from_tracks: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="TRACKS", help="Render these tracks, of any photo, on --image; controls change what they name."
        ),
    ] = None,
    models: Models = None,
    params: ParamsFile = None,
    changes: Changes = [],  # noqa: B006
    quiet: Quiet = False,
) -> None:
    """Make a portrait speak: the mouth follows the speech, the head moves, the eyes blink.

    Works anywhere with the small models that are shipped. Please animate only people who agree to it
    (docs/responsible-use.md).
    """
    progress.setup(quiet)
    from space_models.animate import ASSETS
    from space_models.animate import animate as run
    from space_models.controls.emotion import parse_emotion

    heard_by = [f"animate.speech_encoder={speech_encoder.value}"] if speech_encoder else []
    controls = asked_controls(
        emotion, timeline, pose, pose_strength, pose_offset, blinks, blink_duration, gaze, mouth_gain, mouth_closure
    )
    with speech_of(audio, text, voice) as heard:
        done = run(
            image=image, audio=heard, audio_track=audio_track, out=out, params=load_params(params, [*changes, *heard_by]),
            controls=controls, portrait_emotion=parse_emotion(portrait_emotion), calibration=calibration, seed=seed,
            renderer=generator.value, size_px=size, compare=compare, paste_back=paste_back, watermark=watermark,
            tracks=tracks, from_tracks=from_tracks, models=models or ASSETS, credentials=asked_credentials(sign_cert, sign_key),
        )  # fmt: skip
    if not quiet:
        progress.console.print(escape(str(done)), soft_wrap=True, highlight=False)


app.command(
    epilog="Examples: in a browser, `space stream --image portrait.jpg --audio speech.wav --http 0`; what a program says, "
    "`tts ... | ffmpeg -i - -f s16le -ar 16000 -ac 1 - | space stream --image portrait.jpg --audio - --out talk.mp4`."
)(stream)

@app.command(
    epilog="Example: `space animate ... --tracks a.parquet`, `space inspect a.parquet`, and with the photo under the lines "
    "`space inspect a.parquet --image portrait.jpg --video out.mp4`."
)
def inspect(
    tracks: Annotated[Path, typer.Argument(metavar="TRACKS", help="A file that `space animate --tracks` wrote.")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Receives index.html and landmarks.mp4 (default: TRACKS-inspect).")
    ] = None,
    image: Annotated[Path | None, typer.Option(help="Draw the landmarks as they lie on this photo.")] = None,
    video: Annotated[Path | None, typer.Option(help="... over this video, which was rendered of it.")] = None,
    quiet: Quiet = False,
) -> None:
    """Show what drives a face: curves of lips, head, eyes and emotion, and a video of the landmarks."""
    progress.setup(quiet)
    from pipelines.inspect_tracks import inspect as run

    page = run(tracks, out, image, video)
    if not quiet:
        typer.echo(page)


@app.command(
    epilog="Example: `space calibrate my-clips --out me.safetensors`, then `space animate ... --calibration me.safetensors`. "
    "Some ten seconds of speech are enough for the lip gap; a minute or more, in several clips, for the shape of the mouth."
)
def calibrate(
    source: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of videos of one person, or of one kind of footage.")],
    out: Annotated[Path, typer.Option(help="The .safetensors file to make, for `space animate --calibration`.")],
    models: Models = None,
    params: ParamsFile = None,
    changes: Changes = [],  # noqa: B006
    quiet: Quiet = False,
) -> None:
    """Fit the lips to one's own clips, and say on clips that were left out what that is worth."""
    progress.setup(quiet)
    from pipelines.calibrate import calibrate_folder, table_of
    from space_models.animate import ASSETS

    calibration = calibrate_folder(source, out, load_params(params, changes), models or ASSETS)
    if not quiet:
        progress.console.print(table_of(calibration))


@data.command(
    epilog="Examples: `space data curate clips --out out`; of a corpus, on four processes, under a bound of one's own: "
    "`space data curate VoxCeleb2 --dataset voxceleb2 --out out --workers 4 --set filter.face_width_px.reject=128`. Exit status "
    "0: every clip has a fate; 2: stopped, the last line says why; 130, 143: ended from outside. The same command goes on "
    "a run has stopped. On a cluster: docs/scale.md."
)
def curate(
    source: Annotated[
        str,
        typer.Argument(
            metavar="DIR",
            help="Folder of videos, or s3://bucket/folder; only read. With --dataset folder, DIR/labels.csv may say who is seen.",
        ),
    ],
    out: Annotated[
        str,
        typer.Option(
            help="Receives ledger.parquet, audit/index.html and features/: a new folder, that of an earlier run, or "
            "s3://bucket/folder."
        ),
    ],
    dataset: Annotated[Dataset, typer.Option(help="Which corpus it is; 'folder': any videos.")] = Dataset.folder,
    audio_track: AudioTrack = None,
    pixels: Annotated[bool, typer.Option("--pixels", help="Also render square 25 fps video and 16 kHz sound: align/.")] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes on each machine (default: job.workers, as a rule one per core).")
    ] = None,
    params: ParamsFile = None,
    changes: Changes = [],  # noqa: B006
    quiet: Quiet = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Beam's own log, too.")] = False,
) -> None:
    """Measure, filter and describe every clip of a folder; say why each one was kept or dropped."""
    progress.setup(quiet, verbose=verbose)
    from pipelines.curate import curate as run

    try:
        layout = run(source, out, load_params(params, changes), workers, dataset.value, audio_track, pixels)
    except KeyboardInterrupt:
        progress.console.print("interrupted: the same command goes on where this run stopped")
        raise
    if not quiet:
        progress.console.print(escape(f"ledger: {layout.data / 'ledger.parquet'}   audit: {layout.audit / 'index.html'}"))


@data.command(
    epilog="Exit status 0: consistent, a part of a corpus included; 1: something is wrong; 2: cannot be checked. "
    "docs/datasets.md says which layout each corpus has."
)
def check(
    source: Annotated[str, typer.Argument(metavar="DIR", help="Folder of the corpus, or s3://bucket/folder (only read).")],
    dataset: Annotated[Dataset, typer.Option(help="Which corpus it is; 'folder': any videos.")],
    probe: Annotated[bool, typer.Option("--probe", help="Also open every file: playable, lengths, frames, hours.")] = False,
    contents: Annotated[bool, typer.Option(help="Look for equal content under two names (reads 4 kB of most files).")] = True,
    examples: Annotated[int, typer.Option(min=0, help="Shown per kind of finding.")] = 5,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write everything found to this file.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that open files.")] = 2,
    quiet: Quiet = False,
) -> None:
    """Compare a folder with the corpus it should be: totals, and what is missing, unmatched, misnamed, doubled or broken."""
    progress.setup(quiet)
    from rich.console import Console

    from pipelines.checking.check import check as run
    from pipelines.checking.check import print_report, write_json
    from space_data.store import Place

    report = run(dataset.value, Place.of(source), look_at_contents=contents, look_into_headers=probe, workers=workers)
    if json is not None:
        write_json(report, json)
    if not quiet:
        print_report(report, examples, Console())
    if not report.consistent:
        raise typer.Exit(1)


@data.command(
    epilog="Exit status 0: sound; 1: a shard is damaged, which the next run replaces; 2: no tables, or no way to read them."
)
def verify(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="Output folder of `curate`, or data folder of the pipeline; or in a bucket.")
    ],
    quiet: Quiet = False,
) -> None:
    """Hash every table of a run: are they what was written?"""
    progress.setup(quiet)
    from pipelines.checking.verify import damaged
    from space_data.store import Place

    wrong = list(damaged(Place.of(folder)))
    for line in wrong:
        typer.echo(line)
    if wrong:
        raise typer.Exit(1)


@audits.command(epilog="Example: `space audit diff out-before out-after --html diff.html`.")
def diff(
    a: Annotated[Path, typer.Argument(metavar="A", help="Output folder of `curate`, data folder, or a ledger file.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="The same, of the other run.")],
    csv: Annotated[Path | None, typer.Option(help="Write every change to this CSV file.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the comparison as a page.")] = None,
    most: Annotated[int, typer.Option(min=0, help="Changes that are printed.")] = 20,
) -> None:
    """Which clips changed state between two runs, and why."""
    from pipelines.audit import diff as audit_diff
    from pipelines.audit import diff_page as audit_diff_page
    from space_data.csv_files import write_csv

    runs = audit_diff.read_run(a), audit_diff.read_run(b)
    changes = audit_diff.compare(*runs)
    if csv is not None:
        write_csv(csv, changes.rows)
    if html is not None:
        audit_diff_page.diff_page(*runs, changes).write(html)
    typer.echo(audit_diff_page.summary(changes, most))


@audits.command(epilog="Example: `space audit keep out --set filter.face_width_px.reject=128 --out keep.csv`.")
def keep(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Output folder of `curate`, or data folder of the pipeline.")],
    out: Annotated[Path, typer.Option(help="The CSV file to write: kept segments, where they lie, offset to remove.")],
    changes: Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="A bound that differs; may be repeated.")] = [],  # noqa: B006
    params: ParamsFile = None,
) -> None:
    """Write the keep list under other bounds. The run itself stays as it is, and nothing is measured again."""
    from pipelines.audit.keep import with_bounds, write_keep

    typer.echo(write_keep(folder, with_bounds(load_params(params), changes), out))


@app.command(
    "animate-batch",
    epilog="Example: `space animate-batch videos.csv --out made`. Exit status 0: every video is there; 1: some cannot be made, "
    "the ledger says why; 2: cannot start, or the machine stopped it; 130, 143: ended from outside. The same command goes on "
    "where a run has stopped, and makes again what has changed.",
)
def animate_batch(
    table: Annotated[
        Path,
        typer.Argument(
            metavar="CSV",
            help="Columns image, audio, out, and any that are options of `space animate` (emotion, pose_offset, from, ...); "
            "paths are relative to its folder.",
        ),
    ],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="What `out` is relative to (default: CSV's folder).")] = None,
    models: Models = None,
    params: ParamsFile = None,
    changes: Changes = [],  # noqa: B006
    quiet: Quiet = False,
) -> None:
    """Make many portraits speak: a video per row of a table, with a ledger of what became of each."""
    progress.setup(quiet)
    from pipelines.animate_batch import animate_batch as run
    from space_data.schema import FAILED, STATUSES
    from space_models.animate import ASSETS

    try:
        done = run(table, out, load_params(params, changes), models or ASSETS)
    except KeyboardInterrupt:
        progress.console.print("interrupted: the same command goes on where this run stopped")
        raise
    if not quiet:
        fates = ", ".join(f"{status} {done.counts[status]}" for status in STATUSES)
        line = f"{done.counts.total()} videos: {fates}; {done.from_before} from earlier runs; ledger: {done.ledger}"
        progress.console.print(escape(line), soft_wrap=True, highlight=False)
    if done.counts[FAILED]:
        raise typer.Exit(1)


@app.command(epilog="Example: `space demo`, then open the address that it prints. Needs `pip install gradio` (docs/demo.md).")
def demo(
    host: Annotated[str, typer.Option(help="Address to serve on; the default is for this machine alone.")] = LOOPBACK,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="(default: the first free one from 7860 on)")] = None,
    password: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE", help="What visitors have to know: a file with it in the first line, or env:NAME, a variable."
        ),
    ] = None,
    most_speech: Annotated[float, typer.Option(metavar="S", min=1, help="Longest speech that is taken.")] = 60,
    most_upload: Annotated[float, typer.Option(metavar="MB", min=1, help="Largest file that is taken.")] = 50,
    models: Models = None,
    params: ParamsFile = None,
    changes: Changes = [],  # noqa: B006
    quiet: Quiet = False,
) -> None:
    """A page to play with: portrait and speech, every control, the video and its landmarks. Nothing leaves this machine."""
    progress.setup(quiet)
    from space_models.animate import ASSETS

    secret = None if password is None else read_password(password)
    serve(load_params(params, changes), models or ASSETS, Limits(most_speech, most_upload), host, port, secret)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"open-space {version('open-space')}")
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options before the command."""


def main() -> None:
    """Entry point: a ``SpaceError`` becomes one red line and exit status 2; Ctrl-C gives status 130, ``kill`` 143.

    Both of these unwind the stack, so that half-written files are removed.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        with lengths_in_words():
            app()
    except SpaceError as error:
        progress.console.print(f"[red]error:[/red] {escape(str(error))}", soft_wrap=True, highlight=False)
        sys.exit(2)


if __name__ == "__main__":
    main()
