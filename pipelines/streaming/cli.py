"""The command ``space stream``."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated

import typer

from pipelines.options import (
    AudioTrack,
    BlinkDuration,
    Blinks,
    Changes,
    Emotion,
    Gaze,
    Models,
    MouthClosure,
    MouthGain,
    ParamsFile,
    PortraitEmotion,
    Pose,
    PoseOffset,
    PoseStrength,
    Quiet,
    Seed,
    SpeechEncoder,
    TimelineFile,
    asked_controls,
)
from space_data import progress
from space_data.errors import SpaceError
from space_data.params import load_params

PIPE, SOCKET = "-", "socket:"
DRAWING_S = 0.03
"""That a frame takes after its tracks, about."""


def stream(
    image: Annotated[Path, typer.Option(help="Portrait, as for `space animate`.")],
    audio: Annotated[
        str,
        typer.Option(
            metavar="FILE|-|socket:PORT",
            help="Speech: a file; '-', standard input; or whoever connects to that port of this machine first (0: a free one). "
            "Pipe and socket: signed 16-bit little-endian samples, 16 kHz, mono.",
        ),
    ],
    out: Annotated[
        str | None,
        typer.Option(metavar="FILE.mp4|-", help="A video with its sound; or '-': frames to standard output, see --format."),
    ] = None,
    http: Annotated[
        int | None,
        typer.Option(min=0, max=65535, metavar="PORT", help="Show the frames to browsers on this machine (0: a free port)."),
    ] = None,
    format: Annotated[str, typer.Option(metavar="raw|mjpeg", help="Of --out -: rgb24 of 512x512, or JPEG after JPEG.")] = "raw",
    fast: Annotated[
        bool, typer.Option("--fast", help="With --http: a file as fast as it can be drawn, not at the pace of speech.")
    ] = False,
    camera: Annotated[
        Path | None,
        typer.Option(
            metavar="VIDEO|DEVICE|PIPE|-",
            help="A person who drives face and head while there, in step with the sound: filmed, or live from a camera "
            "(/dev/video0), a named pipe or standard input (MPEG-TS, MJPEG).",
        ),
    ] = None,
    camera_away: Annotated[
        str | None, typer.Option(metavar="A-B,...", help="Seconds in which a filmed person is taken away: the speech drives.")
    ] = None,
    emotion: Emotion = None,
    portrait_emotion: PortraitEmotion = "neutral",
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
    speech_encoder: SpeechEncoder = None,
    audio_track: AudioTrack = None,
    models: Models = None,
    params: ParamsFile = None,
    changes: Changes = [],  # noqa: B006
    quiet: Quiet = False,
) -> None:
    """Make a portrait speak while the sound comes: each frame 90 ms of sound later, and what drawing it takes.

    What is drawn is `warp`; S2L hears log-mel, or 150 ms later with --speech-encoder whisper-tiny.en. Sound that comes faster
    than frames are drawn waits in its pipe; before browsers, frames are repeated until the picture has caught up. Ctrl-C ends
    the stream and keeps the video.
    """
    progress.setup(quiet)
    from pipelines.streaming import sinks, sources
    from pipelines.streaming.run import stream as run
    from space_data.media.live import is_live
    from space_data.speech_encoder import LOG_MEL
    from space_models.animate import ASSETS, COMMENT, TITLE, check_output
    from space_models.controls.emotion import parse_emotion
    from space_models.generators import DEFAULT_RENDERER, RENDERERS
    from space_models.live import Live, Motion
    from space_models.live_camera import LiveCamera
    from space_models.motion import load_motion_models
    from space_models.portrait import load_portrait
    from space_models.switch import CameraFrame, camera_of

    if (out is None) == (http is None):
        raise SpaceError("stream: need --out or --http, and not both")
    if format not in ("raw", "mjpeg"):
        raise SpaceError(f"--format {format!r}: need raw or mjpeg")
    if out not in (None, PIPE):
        check_output(Path(out or ""), ".mp4")
    watches = camera is not None and is_live(camera)
    if watches and camera_away is not None:
        raise SpaceError(
            f"--camera-away {camera_away}: {camera} is live, need a video (a live camera is taken away by stopping it)"
        )
    if str(camera) == audio == PIPE:
        raise SpaceError("--camera -: standard input is the sound already, need a named pipe (mkfifo) for one of them")
    heard_by = speech_encoder.value if speech_encoder else LOG_MEL
    settings = load_params(params, [*changes, f"animate.speech_encoder={heard_by}"])
    controls = asked_controls(
        emotion, timeline, pose, pose_strength, pose_offset, blinks, blink_duration, gaze, mouth_gain, mouth_closure
    )
    in_real_time = http is not None and not fast
    portrait = load_portrait(image)
    motion = Motion(
        load_motion_models(models or ASSETS, settings), portrait, settings, controls, seed, parse_emotion(portrait_emotion)
    )
    seen: Iterator[CameraFrame | None] | None = None
    watching: AbstractContextManager[object] = nullcontext()
    if camera is not None and watches:
        seen = watching = LiveCamera(camera, motion.delay_s + DRAWING_S)
    elif camera is not None:
        seen = camera_of(camera, _spans(camera_away or ""))
    live = Live(motion, portrait, RENDERERS[DEFAULT_RENDERER].load(models or ASSETS, settings), seen)
    sink: AbstractContextManager[sinks.Sink]
    if http is not None:
        sink = sinks.Browsers(http)
        progress.console.print(f"{sink.url}   Ctrl-C ends", soft_wrap=True, highlight=False)
    elif out == PIPE:
        sink = nullcontext(sinks.PipeSink(sys.stdout.buffer, format == "mjpeg"))
    else:
        sink = sinks.file_sink(Path(out or ""), live.size_px, TITLE, COMMENT)
    with sink as frames, watching:
        if audio == PIPE:
            sound = sources.of_pipe(sys.stdin.buffer)
        elif audio.startswith(SOCKET):
            sound = sources.of_socket(_port(audio), lambda port: progress.console.print(f"sound: {sources.LOOPBACK}:{port}"))
        else:
            sound = sources.of_file(Path(audio), audio_track, in_real_time or watches)
        if isinstance(frames, sinks.Browsers):
            frames.wait_for_viewer()
        latency = run(live, sound, frames, in_real_time)
    if not quiet:
        progress.console.print(latency.in_words(), soft_wrap=True, highlight=False)


def _port(audio: str) -> int:
    text = audio.removeprefix(SOCKET)
    if not text.isdecimal() or int(text) > 65535:
        raise SpaceError(f"--audio {audio!r}: need socket:PORT, 0 to 65535")
    return int(text)


def _spans(text: str) -> list[tuple[float, float]]:
    """``2-3.5,8-9`` as pairs of seconds."""
    try:
        spans = [tuple(float(part) for part in span.split("-")) for span in text.split(",") if span.strip()]
        return [(begin, end) for begin, end in spans]
    except ValueError:
        raise SpaceError(f"--camera-away {text!r}: need spans of seconds, as in 2-3.5,8-9") from None
