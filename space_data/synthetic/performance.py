"""One synthetic person saying one thing: sound, controls of the head, and the truth that a camera will see.

Everything is drawn from one generator per performance, so that clips do not depend on each other or on their order.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from space_data.errors import SpaceError
from space_data.landmarks import (
    estimate_pose,
    eye_aspect_ratio,
    lip_gap,
    lip_width,
    mesh_to_landmarks,
    normalise,
)
from space_data.schema import Landmarks
from space_data.synthetic.emotions import VOICE, add_emotion
from space_data.synthetic.espeak import Phoneme, Utterance, Voice, speak
from space_data.synthetic.head import HeadRenderer, Identity, Scene, draw_identities, draw_scene, landmark_track
from space_data.synthetic.motion import Motion, draw_motion
from space_data.synthetic.rhythm import rhythm_of
from space_data.synthetic.sentences import LANGUAGES, SENTENCES, utterance_text
from space_data.synthetic.visemes import MouthGains, MouthTrack, mouth_controls, mouth_track
from space_data.timebase import fit_samples, frames_in, samples_to_seconds, seconds_to_samples

Track = NDArray[np.float64]

VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5")
"""Natural-sounding voices of espeak-ng; the robotic ones are left out."""
HEARD_VARIANTS = VARIANTS + (
    "Alex", "Alicia", "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene", "Gene2", "Henrique", "Hugo", "Jacky", "Lee",
    "Marco", "Mario", "Michael", "Mike", "Nguyen", "Reed", "Storm", "adam", "anika", "announcer", "antonio", "aunty",
    "belinda", "benjamin", "boris", "caleb", "david", "ed", "edward", "edward2", "grandma", "grandpa", "gustave", "ian",
    "iven", "iven2", "iven3", "iven4", "john", "linda", "marcelo", "max", "michel", "miguel", "mike2", "norbert", "pablo",
    "paul", "pedro", "quincy", "rob", "robert", "sandro", "shelby", "steph", "steph2", "steph3", "travis", "victor", "zac",
)  # fmt: skip
"""Voices of the speech-only part: what is learnt about lips must not hang on a few of them."""
HEARD_RATE_WPM, HEARD_PITCH = (120, 220), (10, 90)
CLIP_S = (3.0, 6.0)
MARGIN_S = (0.15, 0.45)
"""Silence before and after the speech."""
LEAST_SPEECH_S = CLIP_S[0] - 2 * MARGIN_S[0]
LONG_SPEECH_WPM = 125
"""Most sentences are over in 4 s at the usual pace: whoever has to speak for longer speaks slowly."""
TRIES = 60
LEVEL_RMS = 0.08
ROOM_NOISE_RMS = 4e-4
"""A quiet room: digital silence would be a giveaway."""
PROBE = 0.5
"""Control value at which a face's response is measured."""
TRUTH_DECIMALS = 9
"""Of angles in the tables of truth: AVX2 and AVX-512 round what lies beyond differently, and files are to be the same bytes."""


@dataclass(frozen=True)
class Person:
    """Who appears in the corpus: a face and a voice."""

    subject: str
    identity: Identity
    variant: str
    language: str
    rate_wpm: int
    pitch: int


@dataclass(frozen=True)
class Performance:
    """What is to be filmed: ``audio`` (640 * T,) at 16 kHz, ``controls`` of the head (T,) each, and where they come from."""

    person: Person
    emotion: str
    intensity: float
    language: str
    text: str
    phonemes: tuple[Phoneme, ...]
    audio: NDArray[np.float32]
    controls: dict[str, Track]
    mouth: MouthTrack
    motion: Motion

    @property
    def n_frames(self) -> int:
        """T."""
        return len(self.motion.yaw_deg)


@dataclass(frozen=True)
class TruthFrame:
    """Truth of one rendered frame. Lips and eyes as ``space_data.landmarks`` defines them on the exact landmarks."""

    frame: int
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    lip_gap: float
    lip_width: float
    eye_opening_left: float
    eye_opening_right: float
    blink: float
    gaze_x_rad: float
    gaze_y_rad: float
    landmarks_px: Landmarks


@lru_cache(maxsize=4)
def people(seed: int, n: int, prefix: str) -> tuple[Person, ...]:
    """``n`` people with distinct faces; voices and main languages in turn, so that all are used."""
    rng = np.random.default_rng([seed, len(prefix), *prefix.encode()])
    faces = draw_identities(rng, n)
    filmed = tuple(SENTENCES)
    return tuple(
        Person(
            subject=f"{prefix}{number:03d}",
            identity=face,
            variant=VARIANTS[number % len(VARIANTS)],
            language=filmed[number % len(filmed)],
            rate_wpm=int(rng.integers(140, 190)),
            pitch=int(rng.integers(25, 75)),
        )
        for number, face in enumerate(faces)
    )


def _voice(person: Person, language: str, emotion: str, intensity: float) -> Voice:
    """The person's voice, coloured by the emotion."""
    prosody = VOICE[emotion]
    strength = 0.0 if emotion == "neutral" else intensity

    def scaled(factor: float) -> float:
        return 1.0 + strength * (factor - 1.0)

    return Voice(
        language,
        person.variant,
        rate_wpm=int(np.clip(person.rate_wpm * scaled(prosody.rate), 110, 240)),
        pitch=int(np.clip(person.pitch + strength * prosody.pitch, 5, 95)),
        pitch_range=int(np.clip(50 * scaled(prosody.pitch_range), 10, 95)),
    )


def _say(
    person: Person, emotion: str, intensity: float, rng: np.random.Generator, any_language: bool, least_s: float
) -> tuple[str, str, Utterance]:
    """Language, text and sound of an utterance of at least ``least_s`` that fits into a clip.

    Raises:
        SpaceError: no such utterance in ``TRIES`` draws.
    """
    longest = CLIP_S[1] - 2 * MARGIN_S[1]
    if least_s > LEAST_SPEECH_S:
        person = replace(person, rate_wpm=min(person.rate_wpm, LONG_SPEECH_WPM))
    for _ in range(TRIES):
        if any_language:
            language = str(rng.choice(LANGUAGES))
            variant = str(rng.choice(HEARD_VARIANTS))
            rate, pitch = int(rng.integers(*HEARD_RATE_WPM)), int(rng.integers(*HEARD_PITCH))
            person = replace(person, variant=variant, rate_wpm=rate, pitch=pitch)
        else:
            language = person.language if rng.random() < 0.5 else "en-us"
        text = utterance_text(rng, language, sentence_share=0.3 if any_language else 0.9)
        said = speak(text, _voice(person, language, emotion, intensity))
        if least_s <= samples_to_seconds(len(said.audio)) <= longest:
            return language, text, said
    raise SpaceError(f"corpus: {person.subject} found nothing of {least_s:g}-{longest:g} s to say in {TRIES} tries")


def perform(
    person: Person,
    emotion: str,
    intensity: float,
    rng: np.random.Generator,
    any_language: bool = False,
    least_speech_s: float = LEAST_SPEECH_S,
) -> Performance:
    """Draw what ``person`` says and how the head moves while saying it.

    Args:
        any_language: speech-only utterances roam through all languages and voices; filmed people keep to theirs and English.
        least_speech_s: shorter utterances are drawn again.
    """
    language, text, said = _say(person, emotion, intensity, rng, any_language, least_speech_s)
    before_s, after_s = rng.uniform(*MARGIN_S, 2)
    lead = seconds_to_samples(before_s)
    n_frames = max(
        frames_in(CLIP_S[0]), frames_in(before_s + samples_to_seconds(len(said.audio)) + after_s)
    )
    audio = fit_samples(np.concatenate([np.zeros(lead, np.float32), said.audio]), n_frames)
    audio *= LEVEL_RMS / max(float(np.sqrt((audio**2).mean())), 1e-6)
    audio = np.clip(audio + rng.normal(0, ROOM_NOISE_RMS, len(audio)), -0.99, 0.99).astype(np.float32)
    offset_s = samples_to_seconds(lead)
    phonemes = tuple(replace(p, start_s=p.start_s + offset_s, end_s=p.end_s + offset_s) for p in said.phonemes)
    mouth = mouth_track(phonemes, n_frames)
    motion = draw_motion(rng, mouth.speaking, rhythm_of(phonemes))
    speech = mouth_controls(mouth, mouth_gains(person.identity))
    strength = 0.0 if emotion == "neutral" else intensity
    moved = {**speech, **motion.controls()}
    controls = add_emotion(moved, emotion, strength, mouth.closure)
    return Performance(person, emotion, intensity, language, text, phonemes, audio, controls, mouth, motion)


@lru_cache(maxsize=64)
def mouth_gains(identity: Identity) -> MouthGains:
    """How far this face's lips move per unit of each control, measured on its exact landmarks."""
    probes = ("jaw", "lip_up", "lip_down", "funnel", "wide", "pucker")
    controls = {name: np.where(np.arange(len(probes) + 1) == i + 1, PROBE, 0.0) for i, name in enumerate(probes)}
    track = exact_normalised(identity, controls)
    gap, width = (lip_gap(track) - lip_gap(track)[0]) / PROBE, (lip_width(track) - lip_width(track)[0]) / PROBE
    of = {name: (float(gap[i + 1]), float(width[i + 1])) for i, name in enumerate(probes)}
    return MouthGains(
        gap_jaw=of["jaw"][0],
        gap_lip_up=of["lip_up"][0],
        gap_lip_down=of["lip_down"][0],
        gap_funnel=of["funnel"][0],
        width_jaw=of["jaw"][1],
        width_wide=of["wide"][1],
        width_pucker=of["pucker"][1],
        width_funnel=of["funnel"][1],
    )


def exact_normalised(identity: Identity, controls: dict[str, Track]) -> NDArray[np.float32]:
    """Normalised landmarks (T, 78, 3) of a still head under ``controls``, without a picture."""
    scene = draw_scene(np.random.default_rng(0))
    mesh = landmark_track(identity, controls, {}, scene)
    return normalise(mesh_to_landmarks(mesh), estimate_pose(mesh))


def film(
    performance: Performance, scene: Scene, size_px: int, yaw_offset_deg: float = 0.0
) -> tuple[list[NDArray[np.uint8]], list[TruthFrame]]:
    """Render a performance: frames (size_px, size_px, 3) and their truth."""
    camera, motion = HeadRenderer(performance.person.identity, scene, size_px), performance.motion
    pose = {
        "yaw_deg": motion.yaw_deg + yaw_offset_deg,
        "pitch_deg": motion.pitch_deg,
        "roll_deg": motion.roll_deg,
        "shift_x_cm": motion.shift_cm[:, 0],
        "shift_y_cm": motion.shift_cm[:, 1],
    }
    frames, meshes = [], []
    for rgb, truth in camera.frames(performance.controls, pose):
        frames.append(rgb)
        meshes.append(truth.mesh_px)
    return frames, _truth(performance, np.stack(meshes), yaw_offset_deg)


def _truth(performance: Performance, mesh: NDArray[np.float32], yaw_offset_deg: float) -> list[TruthFrame]:
    points = mesh_to_landmarks(mesh)
    normalised = normalise(points, estimate_pose(mesh))
    gap, width, eyes, motion = lip_gap(normalised), lip_width(normalised), eye_aspect_ratio(normalised), performance.motion
    return [
        TruthFrame(
            frame=t,
            yaw_deg=round(float(motion.yaw_deg[t] + yaw_offset_deg), TRUTH_DECIMALS),
            pitch_deg=round(float(motion.pitch_deg[t]), TRUTH_DECIMALS),
            roll_deg=round(float(motion.roll_deg[t]), TRUTH_DECIMALS),
            lip_gap=float(gap[t]),
            lip_width=float(width[t]),
            eye_opening_left=float(eyes[t, 0]),
            eye_opening_right=float(eyes[t, 1]),
            blink=float(motion.blink[t]),
            gaze_x_rad=round(float(motion.gaze_x_rad[t]), TRUTH_DECIMALS),
            gaze_y_rad=round(float(motion.gaze_y_rad[t]), TRUTH_DECIMALS),
            landmarks_px=points[t].ravel(),
        )
        for t in range(len(points))
    ]
