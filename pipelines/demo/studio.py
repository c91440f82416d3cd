"""What stands behind the page: videos made of uploads, one at a time, and the files of visitors, which go when they go."""

import math
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipelines.animate_batch import ModelShelf
from pipelines.animate_request import Request
from pipelines.demo.limits import Limits
from pipelines.spoken_text import say
from space_data.errors import SpaceError
from space_data.media.encode import write_video
from space_data.media.images import write_image
from space_data.media.sound import decode_sound
from space_data.params import Params
from space_models.animate import animate
from space_models.controls.emotion import parse_emotion
from space_models.generators import Frame
from space_models.portrait import Portrait, load_portrait
from space_models.tracks import Tracks
from space_models.views import sketch

EXAMPLE_TEXT = "Good morning. This is a portrait that speaks, and all of it is made on this machine."
MOST_TEXT = 1000
"""Characters that espeak-ng is asked to say."""
BAR_EVERY_S = 0.2
LISTEN_S = 0.5
"""Of sound behind the limit that tell that there is more."""


@dataclass(frozen=True)
class Made:
    """One video, the landmarks that drive it as another, their tracks, and what to say of it, line by line."""

    video: Path
    landmarks: Path
    tracks: Path
    lines: tuple[str, ...]


@dataclass
class Visit:
    """A visitor's own folder, and the uploads that are used."""

    folder: Path
    uploads: set[Path] = field(default_factory=set)
    is_over: bool = False
    jobs: int = 0


class Studio:
    """Makes what visitors ask for. Visits are told apart by a name that the page gives each; threads may call it."""

    def __init__(self, root: Path, params: Params, models: Path, limits: Limits) -> None:
        """``root``: folder of uploads and results, which whoever made it removes."""
        self.root, self.limits = root, limits
        self._params, self._shelf = params, ModelShelf(models, params)
        self._visits: dict[str, Visit] = {}
        self._lock = threading.Lock()

    def remember(self, visitor: str, upload: Path) -> None:
        """An upload is used by a visitor: it is kept until nobody uses it any more. Others' files are none of theirs."""
        with self._lock:
            visit = self._visit(visitor)
            if upload.resolve().parent.parent == self.root.resolve():  # <root>/<hash of the content>/<name>
                visit.uploads.add(upload)

    def say(self, visitor: str, text: str, voice: str) -> Path:
        """A sound file of ``text``.

        Raises:
            SpaceError: too long; see ``spoken_text.say``.
        """
        if len(text) > MOST_TEXT:
            raise SpaceError(f"text: {len(text)} characters, need at most {MOST_TEXT}")
        with self.folder(visitor) as folder:
            path = folder / "spoken.wav"
            say(text, voice, path)
            return path

    def example(self, visitor: str) -> tuple[Path, Path]:
        """A portrait, NASA's public-domain one of Eileen Collins that scikit-image ships, and a sentence."""
        from skimage.data import astronaut

        with self.folder(visitor) as folder:
            write_image(folder / "astronaut.png", np.asarray(astronaut(), np.uint8))
            say(EXAMPLE_TEXT, "en-us+f3", folder / "sentence.wav")
            return folder / "astronaut.png", folder / "sentence.wav"

    @contextmanager
    def folder(self, visitor: str) -> Iterator[Path]:
        """A new folder of a visitor's; a visit is not tidied up before the block ends."""
        with self._lock:
            visit = self._visit(visitor)
            visit.jobs += 1
        try:
            folder = visit.folder / secrets.token_hex(4)
            folder.mkdir()
            yield folder
        finally:
            with self._lock:
                visit.jobs -= 1
                self._tidy(visitor, visit)

    def make(self, request: Request, rendering: Callable[[int, int], object] | None = None) -> Made:
        """The video that is asked for, the landmarks beside it; ``rendering`` is told of every frame (``animate``).

        Raises:
            SpaceError: see ``animate``; or the speech is too long.
        """
        behind_s = (self.limits.speech_s, self.limits.speech_s + LISTEN_S)
        if len(decode_sound(request.audio, part_s=behind_s, track=request.audio_track).samples):
            raise SpaceError(f"{request.audio}: longer than {self.limits.speech_s:g} s, which is the most that this page takes")
        tracks = request.out.with_suffix(".parquet")
        said = animate(
            image=request.image, audio=request.audio, audio_track=request.audio_track, out=request.out, params=self._params,
            controls=request.controls(), portrait_emotion=parse_emotion(request.portrait_emotion), seed=request.seed,
            size_px=request.size, paste_back=request.paste_back, watermark=request.watermark, tracks=tracks,
            from_tracks=request.from_tracks, models=self._shelf.folder, loaded=self._shelf.of(request),
            rendering=rendering,
        )  # fmt: skip
        portrait = load_portrait(request.image)
        landmarks = request.out.with_name("landmarks.mp4")
        write_video(landmarks, drawn(Tracks.read(tracks), portrait))
        return Made(request.out, landmarks, tracks, (said.rpartition(": ")[2], *portrait.warnings))

    def leave(self, visitor: str) -> None:
        """A visitor has gone: so do the files, once nothing is being made of them."""
        with self._lock:
            visit = self._visits.get(visitor)
            if visit is not None:
                visit.is_over = True
                self._tidy(visitor, visit)

    def _visit(self, visitor: str) -> Visit:
        if visitor not in self._visits:
            folder = self.root / f"visit-{secrets.token_urlsafe(16)}"  # whoever knows a file's path is given the file
            folder.mkdir()
            self._visits[visitor] = Visit(folder)
        return self._visits[visitor]

    def _tidy(self, visitor: str, visit: Visit) -> None:
        if not visit.is_over or visit.jobs:
            return
        del self._visits[visitor]
        shutil.rmtree(visit.folder, ignore_errors=True)
        in_use = set[Path]().union(*(other.uploads for other in self._visits.values()))
        for upload in visit.uploads - in_use:  # one content is one file, whoever uploads it
            shutil.rmtree(upload.parent, ignore_errors=True)


def shown_by(bar: Callable[..., object]) -> Callable[[int, int], None]:
    """Tells ``bar``, as Gradio's takes it, a few times a second, the frames drawn and the seconds left."""
    began_s = time.monotonic()
    shown_s = -math.inf

    def rendering(done: int, of: int) -> None:
        nonlocal shown_s
        now_s = time.monotonic()
        if now_s - shown_s < BAR_EVERY_S and done < of:
            return
        shown_s = now_s
        left_s = (now_s - began_s) / done * (of - done)
        bar((done, of), desc=f"about {left_s:.0f} s to go", unit="frames")

    return rendering


def drawn(tracks: Tracks, portrait: Portrait) -> Iterator[Frame]:
    """The landmarks of tracks as pictures."""
    side_px = len(portrait.rgb)
    return (sketch(points, side_px) for points in tracks.driving(portrait).posed)
