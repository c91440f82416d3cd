"""Our systems: exactly what `space animate` runs (`space_models.animate`), on a portrait that is cropped already."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from evaluation.systems import Assignment, Rendering, system_of
from space_data.errors import SpaceError
from space_data.files import sha256_of
from space_data.params import Params
from space_models.animate import COMMENT, render
from space_models.checkpoints import CARD_FILE, WEIGHTS_FILE
from space_models.controls.asked import Controls
from space_models.generators import GENERATORS, RENDERERS, find, settings_of
from space_models.motion import load_motion_models, make_tracks
from space_models.portrait import portrait_of_crop
from space_models.speech_file import speech_features

MOTION_MODELS = ("s2l", "posegen")


def models_of(renderer: str) -> tuple[str, ...]:
    """Folders of the trained models, with cards, that a renderer's system needs; its generator's own weights apart."""
    generator = RENDERERS[renderer].generator
    return MOTION_MODELS if generator is None else (*MOTION_MODELS, f"l2l/{generator}")


@dataclass(frozen=True)
class Models:
    """The pipeline's trained models and the settings that rendering reads."""

    folder: Path
    params: Params

    def content(self, renderer: str) -> str:
        """Hash of everything that a system's frames depend on beside its input.

        Raises:
            SpaceError: a model is missing.
        """
        entry = find(RENDERERS, renderer, "renderer")
        # The limits of the head's motion stand among the settings of `warp` (`controls.head`).
        parts: list[object] = [self.params.warp.model_dump(mode="json"), self.params.animate.model_dump(mode="json")]
        parts.append(settings_of(entry.section, self.params))
        if entry.generator is not None:
            generator = GENERATORS[entry.generator]
            parts.append(generator.weights_sha256(generator.folder(entry.generator, self.folder, self.params)))
        for name in models_of(renderer):
            for file in (self.folder / name / CARD_FILE, self.folder / name / WEIGHTS_FILE):
                if not file.is_file():
                    raise SpaceError(f"{file}: no such file, system {renderer} needs model {name} (run `dvc repro`)")
                parts.append(sha256_of(file))
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Ours:
    """Speech and portrait to motion, motion to frames."""

    def __init__(self, renderer: str, models: Models) -> None:
        self.name = system_of(renderer)
        self._renderer, self._models = renderer, models

    def render(self, assignment: Assignment) -> Rendering:
        """Head motion, blinks and gaze are generated from the assignment's seed, never taken from the recording.

        The portrait is a frame of the clip, so what it shows has the clip's label: `--portrait-emotion` of the command.
        """
        params, folder = self._models.params, self._models.folder
        portrait = portrait_of_crop(assignment.portrait, assignment.clip_id)
        speech = speech_features(assignment.speech)
        driving = make_tracks(
            load_motion_models(folder, params), portrait, speech, params, Controls(emotion=assignment.emotion), assignment.seed,
            portrait_emotion=assignment.emotion,
        ).driving(portrait)  # fmt: skip
        frames = render(self._renderer, portrait, driving, params, folder)
        return Rendering(frames, driving.normalised, driving.pose, COMMENT)
