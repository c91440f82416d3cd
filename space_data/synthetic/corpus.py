"""The default corpus: which clips there are, and how each one is made. Laid out like a real corpus.

    clips/<subject>/<emotion>_<level>/<nnn>.mp4       filmed speech; .json: truth per clip, .parquet: per frame
    defects/<defect>.mp4                               one planted defect each, with .json
    speech_only/<subject>/<nnn>.wav                    speech with exact landmark tracks (.parquet), not filmed
    manifest.csv, speech_only.csv                      one line per clip, one per utterance

No real person appears or speaks in it. Every clip is drawn from its own generator ``[seed, kind, number]``: the same bytes in any
order and for any number of workers.
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from space_data.files import atomic_file
from space_data.media.encode import write_video, write_wav
from space_data.params import Corpus
from space_data.schema import EMOTIONS, UtteranceFrame
from space_data.synthetic.defects import DEFECTS, PROFILE_YAW_DEG, SHIFTED_SPEECH_S, SHIFTS_FRAMES, Take, plant
from space_data.synthetic.head import draw_scene
from space_data.synthetic.motion import blink_times_s
from space_data.synthetic.performance import LEAST_SPEECH_S, Performance, TruthFrame, exact_normalised, film, people, perform
from space_data.tables import write_table
from space_data.timebase import frame_start_s

LEVELS = 3
"""Emotions come at intensities 1/3, 2/3 and 1, as level_1 to level_3."""
CLIP_KIND, DEFECT_KIND, SPEECH_KIND, GUEST_KIND = 0, 1, 2, 3
FILMED_PREFIX, HEARD_PREFIX, GUEST_PREFIX = "head", "voice", "guest"
CLIP_CRF = 18
NEED_TWO = ("two_faces", "hard_cut")
"""Defects that show a second person."""
MEAN_UTTERANCE_S = 4.3
"""Of the speech-only part; turns minutes into a number of utterances."""
MANIFEST_COLUMNS = (
    "clip", "subject", "emotion", "intensity", "language", "n_frames", "defect", "planted_offset_frames", "keep", "split",
)  # fmt: skip
SPEECH_COLUMNS = ("clip", "subject", "emotion", "intensity", "language", "n_frames")
HARMLESS = ("audio_late_4", "audio_late_7", "audio_early_6", "rotated", "stereo_44k")
"""Planted, awkward, and to be kept."""


@dataclass(frozen=True)
class Plan:
    """One clip to be made. ``stem``: path below the corpus' root, without suffix."""

    stem: str
    kind: int
    number: int
    person: int
    emotion: str
    intensity: float
    defect: str = ""


def plans(settings: Corpus) -> list[Plan]:
    """Everything the corpus holds, in order."""
    filmed = [
        _clip_plan(person, take, settings.clips_per_identity)
        for person in range(settings.identities)
        for take in range(settings.clips_per_identity)
    ]
    spoilt = [
        Plan(f"defects/{defect}", DEFECT_KIND, number, number % settings.identities, "neutral", 1.0, defect)
        for number, defect in enumerate(DEFECTS)
    ]
    guests = [_guest_plan(person) for person in range(settings.test_identities)]
    n_speech_only = round(settings.speech_only_minutes * 60 / MEAN_UTTERANCE_S)
    return filmed + guests + spoilt + [_speech_plan(number, settings) for number in range(n_speech_only)]


def _clip_plan(person: int, take: int, takes: int) -> Plan:
    """The first take is neutral; the others go through the emotions and levels, another stretch of them for each person."""
    turn = person * (takes - 1) + take - 1
    emotion = "neutral" if take == 0 else EMOTIONS[1 + turn % (len(EMOTIONS) - 1)]
    level = 1 if take == 0 else 1 + turn % LEVELS
    intensity = 1.0 if take == 0 else level / LEVELS
    stem = f"clips/{FILMED_PREFIX}{person:03d}/{emotion}_{level}/{take + 1:03d}"
    return Plan(stem, CLIP_KIND, person * takes + take, person, emotion, intensity)


def _guest_plan(person: int) -> Plan:
    """One clip of somebody who is in no other: tests are about people, and one clip says most of what a person can add."""
    emotion, level = EMOTIONS[1 + person % (len(EMOTIONS) - 1)], 1 + person % LEVELS
    stem = f"clips/{GUEST_PREFIX}{person:03d}/{emotion}_{level}/001"
    return Plan(stem, GUEST_KIND, person, person, emotion, level / LEVELS)


def _speech_plan(number: int, settings: Corpus) -> Plan:
    person = number % settings.speech_only_identities
    turn = number // settings.speech_only_identities
    calm = turn % 2 == 0
    emotion = "neutral" if calm else EMOTIONS[1 + (person + turn // 2) % (len(EMOTIONS) - 1)]
    intensity = 1.0 if calm else (1 + (person + turn) % LEVELS) / LEVELS
    return Plan(f"speech_only/{HEARD_PREFIX}{person:03d}/{turn + 1:03d}", SPEECH_KIND, number, person, emotion, intensity)


def make(plan: Plan, settings: Corpus, folder: Path) -> None:
    """Make one clip's files in ``folder``, named ``clip.*``."""
    rng = np.random.default_rng([settings.seed, plan.kind, plan.number])
    if plan.kind == SPEECH_KIND:
        person = people(settings.seed, settings.speech_only_identities, HEARD_PREFIX)[plan.person]
        performance = perform(person, plan.emotion, plan.intensity, rng, any_language=True)
        track = exact_normalised(person.identity, performance.controls)
        write_wav(folder / "clip.wav", performance.audio)
        write_table(folder / "clip.parquet", [UtteranceFrame(i, n.ravel()) for i, n in enumerate(track)], UtteranceFrame)
        _write_json(folder / "clip.json", _facts(plan, performance))
        return
    is_guest = plan.kind == GUEST_KIND
    n, prefix = (settings.test_identities, GUEST_PREFIX) if is_guest else (settings.identities, FILMED_PREFIX)
    cast = people(settings.seed, n, prefix)
    least_speech_s = SHIFTED_SPEECH_S if plan.defect in SHIFTS_FRAMES else LEAST_SPEECH_S
    performance = perform(cast[plan.person], plan.emotion, plan.intensity, rng, least_speech_s=least_speech_s)
    yaw = PROFILE_YAW_DEG if plan.defect == "profile" else 0.0
    frames, truth = film(performance, draw_scene(rng), settings.size_px, yaw)
    facts = _facts(plan, performance)
    if not plan.defect:
        write_video(folder / "clip.mp4", frames, crf=CLIP_CRF, audio=performance.audio)
        write_table(folder / "clip.parquet", truth, TruthFrame)
    else:
        other = perform(cast[(plan.person + 1) % len(cast)], "neutral", 1.0, rng)
        other_frames = film(other, draw_scene(rng), settings.size_px)[0] if plan.defect in NEED_TWO else []
        takes = Take(frames, performance.audio), Take(other_frames, other.audio)
        facts["planted"] = plant(plan.defect, *takes, folder / "clip.mp4", rng)
    _write_json(folder / "clip.json", facts)


def _facts(plan: Plan, performance: Performance) -> dict[str, Any]:
    """The truth about a clip as a whole."""
    return {
        "clip": plan.stem,
        "subject": performance.person.subject,
        "emotion": plan.emotion,
        "intensity": round(plan.intensity, 4),
        "language": performance.language,
        "voice": performance.person.variant,
        "text": performance.text,
        "n_frames": performance.n_frames,
        "duration_s": frame_start_s(performance.n_frames),
        "phonemes": [[p.symbol, round(p.start_s, 4), round(p.end_s, 4)] for p in performance.phonemes],
        "blinks_s": [[round(a, 3), round(b, 3)] for a, b in blink_times_s(performance.motion.blinks)],
        "defect": plan.defect,
        "planted": {},
    }


def _write_json(path: Path, facts: dict[str, Any]) -> None:
    with atomic_file(path) as part:
        part.write_text(json.dumps(facts, ensure_ascii=False, indent=1) + "\n")


def write_lists(root: Path, facts: Sequence[dict[str, Any]]) -> None:
    """Write ``manifest.csv`` (filmed clips, spoilt or not) and ``speech_only.csv`` from the clips' facts."""
    filmed = [_manifest_row(f) for f in facts if not f["clip"].startswith("speech_only/")]
    speech_only = [{c: f[c] for c in SPEECH_COLUMNS} for f in facts if f["clip"].startswith("speech_only/")]
    for name, columns, rows in (("manifest.csv", MANIFEST_COLUMNS, filmed), ("speech_only.csv", SPEECH_COLUMNS, speech_only)):
        with atomic_file(root / name) as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(sorted(rows, key=lambda row: str(row["clip"])))


def _manifest_row(facts: dict[str, Any]) -> dict[str, Any]:
    keep = not facts["defect"] or facts["defect"] in HARMLESS
    row = {c: facts[c] for c in MANIFEST_COLUMNS if c in facts}
    row |= {"planted_offset_frames": facts["planted"].get("offset_frames", 0), "keep": "yes" if keep else "no"}
    return row | {"split": "test" if facts["subject"].startswith(GUEST_PREFIX) else ""}
