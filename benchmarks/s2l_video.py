"""What a viewer sees of S2L: held-out people of the corpus, rendered, followed by the landmark tracker again, per person.

    python -m benchmarks.s2l_video [--data data] [--models models] [--renderer warp] [--pose still] [--clips 18]

Every clip of split ``test`` is spoken by two photos: its own first frame, and the frame of that person nearest to the resting
face. Rows: S2L; S2L with another clip's sound; the face of the photo held still. All three are drawn by the same renderer with
the same head motion (``still``, ``generated`` by PoseGen, or the one ``recorded`` in the clip), without blinks and glances, and
compared with the recording's landmarks: as they are, and (``mean of 3``) with every track, the recording's and the still photo's
too, averaged over three frames: a tracker trembles on a face that moves and not on one that stands still (``tracker_tremble``).

The head motion matters: the tracker reads a turned face a little differently, so that a distance also has in it how alike two
heads are turned. Figures of different ``--pose`` cannot be compared, those of one can. Intervals: paired bootstrap over people.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.s2l_real import COLUMNS, DISTANCES, MEAN, SEED, averaged, below
from pipelines.layout import Layout
from pipelines.stages.align import aligned_clips
from space_data.features import FaceTrack, face_track
from space_data.landmarks import PoseTrack
from space_data.media.sound import decode_audio
from space_data.media.video import decode_video
from space_data.params import Params, load_params
from space_data.progress import track
from space_data.schema import NEUTRAL, AlignedClip
from space_data.store import Place
from space_data.timebase import fit_samples
from space_models.controls.asked import Controls
from space_models.dataset import Features, TrackClip, by_subject, resting_faces, spread
from space_models.generators import DEFAULT_RENDERER, RENDERERS, Driving, Renderer, find
from space_models.motion import MotionModels, load_motion_models, make_tracks
from space_models.portrait import Portrait, portrait_of_crop
from space_models.posegen.pose import apply_pose, relative_pose
from space_models.s2l.metrics import LipFigures
from space_models.speech_file import speech_features

MOST_CLIPS = 500
POSES = ("still", "generated", "recorded")
S2L, OTHER_SOUND, STILL = "S2L", "S2L, another's sound", "still face"


@dataclass(frozen=True)
class Photo:
    """A portrait of a clip's person and the emotion (9,) that it is said to show."""

    portrait: Portrait
    emotion: NDArray[np.float32]


@dataclass(frozen=True)
class Videos:
    """The finished run's aligned clips by id."""

    clips: dict[str, AlignedClip]

    def picture(self, clip_id: str, frame: int) -> NDArray[np.uint8]:
        """One frame (512, 512, 3)."""
        frames = decode_video(Path(self.clips[clip_id].video))
        return next(each.rgb for index, each in enumerate(frames) if index == frame)

    def sound(self, clip: TrackClip) -> NDArray[np.float32]:
        """16 kHz, (640 T,)."""
        return fit_samples(decode_audio(Path(self.clips[clip.clip_id].audio)), len(clip))


def photos(clips: Sequence[TrackClip], every: Sequence[TrackClip], videos: Videos) -> Iterator[tuple[str, TrackClip, Photo]]:
    """Which portrait, the clip, and the portrait: a resting one is taken from whichever of all the person's clips shows it.

    Of ``every`` clip, not of the chosen ones alone: a person of whom only an angry clip is chosen is not at rest in it.
    """
    resting, taken = resting_faces(every), by_subject(every)
    for subject, own in by_subject(clips).items():
        off = [np.abs(c.normalised - resting[subject]).mean(axis=(1, 2)) for c in taken[subject]]
        nearest = min(range(len(off)), key=lambda i: off[i].min())
        at_rest = videos.picture(taken[subject][nearest].clip.clip_id, int(off[nearest].argmin()))
        rest = Photo(portrait_of_crop(at_rest), NEUTRAL)
        for clip in own:
            first = portrait_of_crop(videos.picture(clip.clip_id, 0))
            yield "first frame", clip, Photo(first, clip.emotion)
            yield "resting face", clip, rest


def motions(
    models: MotionModels, clip: TrackClip, photo: Photo, sounds: dict[str, NDArray[np.float32]], params: Params, pose: str
) -> dict[str, Driving]:
    """By system, what is drawn, with the same head motion."""
    asked = Controls(emotion=clip.emotion, pose="still" if pose == "recorded" else pose, blinks="off", gaze="photo")
    face = photo.portrait
    made = {
        system: make_tracks(models, face, speech_features(sound), params, asked, SEED, photo.emotion).driving(face)
        for system, sound in sounds.items()
    }
    head = made[S2L].pose
    if pose == "recorded":
        offsets = relative_pose(PoseTrack.from_array(clip.pose))
        head = apply_pose(offsets - offsets[:1], face.pose)
    made[STILL] = replace(made[S2L], normalised=np.repeat(face.normalised[None], len(clip), 0))
    return {system: replace(driving, pose=head) for system, driving in made.items()}


def drawn(renderer: Renderer[Any], portrait: Portrait, made: dict[str, Driving]) -> Iterator[tuple[str, Driving, FaceTrack]]:
    """What is found in the videos of one portrait, by system."""
    prepared = renderer.prepare(portrait)
    for system, driving in made.items():
        yield system, driving, face_track(renderer.render(prepared, driving))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--renderer", default=DEFAULT_RENDERER)
    parser.add_argument("--pose", choices=POSES, default=POSES[0])
    parser.add_argument("--clips", type=int, default=MOST_CLIPS, help="at most so many, spread over people")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of params.yaml")
    arguments = parser.parse_args()
    params, layout = load_params(None, arguments.set), Layout(data=Place.of(arguments.data))
    models = load_motion_models(arguments.models, params)
    renderer: Renderer[Any] = find(RENDERERS, arguments.renderer, "renderer").load(arguments.models, params)
    features = Features.read_filmed(layout.feature_frames, layout.feature_clips, ["test"], MOST_CLIPS)
    clips = spread(features.clips, arguments.clips)  # people in turn: another's sound is another person's
    videos = Videos({clip.clip_id: clip for clip in aligned_clips(layout)})
    others = {c.clip_id: clips[i - 1] for i, c in enumerate(clips)}
    figures: dict[tuple[str, str, str], LipFigures] = {}
    people: dict[str, list[str]] = {}
    for which, clip, photo in track(photos(clips, features.clips, videos), "videos", 2 * len(clips)):
        other = videos.sound(others[clip.clip_id])
        sounds = {S2L: videos.sound(clip)}
        sounds[OTHER_SOUND] = np.resize(other, len(sounds[S2L]))
        made = motions(models, clip, photo, sounds, params, arguments.pose)
        for system, driving, found in drawn(renderer, photo.portrait, made):
            for on, points in (("landmarks", driving.normalised), ("video", found.normalised)):
                figures.setdefault((which, system, on), LipFigures()).add(points, clip.normalised, clip.speaking)
                smooth, reference = averaged(points), averaged(clip.normalised)
                figures.setdefault((which, system, f"{on}, {MEAN}"), LipFigures()).add(smooth, reference, clip.speaking)
        people.setdefault(which, []).append(clip.subject)
    table = Table("portrait", "row", "on", *COLUMNS.values())
    for (which, system, shown), own in sorted(figures.items(), key=lambda item: (item[0][0], item[0][2])):
        summary, columns = own.summary(), DISTANCES if shown.endswith(MEAN) else COLUMNS  # closures are of frames
        table.add_row(which, system, shown, *(f"{summary[k]:.{4 if k in DISTANCES else 3}f}" for k in columns))
        if system == S2L:
            still = figures[which, STILL, shown]
            table.add_row(which, "below still", shown, *(below(own, still, metric, people[which]) for metric in DISTANCES))
    Console(width=170).print(table)


if __name__ == "__main__":
    main()
