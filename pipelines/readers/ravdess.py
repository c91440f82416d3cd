"""RAVDESS: 24 actors speak and sing two sentences with eight emotions, filmed from the front (Zenodo 1188976).

* Size: 7,356 files, 24.8 GB, 720p H.264 with AAC 48 kHz: (60 spoken trials x 24 actors + 44 sung x 23) x 3 modalities; 2,452
  trials. There is no song of actor 18. The frame rate is not published: ``ingest`` reads it from the header.
* Licence: CC BY-NC-SA 4.0, non-commercial.
* Layout: the zips as they unpack: ``Actor_NN/`` directly, or below ``Video_Speech_Actor_NN/``, ``Audio_Song_Actors_01-24/`` and
  so on. A name is seven two-digit fields: modality (01 picture and sound, 02 picture, 03 sound), channel (01 speech, 02 song),
  emotion, intensity, statement, repetition, actor (odd male, even female). All that counts is the name; the folder must not
  contradict it.

The three modalities of a trial are one clip, ``ravdess/Actor_NN/<the six other fields>``. The picture is that of the 01 file,
of the 02 file if that is missing; the sound is the 03 file where it is present (16-bit PCM), else the video's own. That the 03
file starts with the video is assumed, not published: a shift shows in the stage ``sync``, a difference in length in ``space
data check --probe``.

Emotions keep their name (disgust is our "disgusted"); intensity normal = 0.5, strong = 1, neutral = 0. Two sentences only: what
is measured here says more about expression than about lips.
"""

import os
import re
from collections import Counter

from pipelines.readers.listing import (
    SOUND_SUFFIXES,
    VIDEO_SUFFIXES,
    Finding,
    Listing,
    Published,
    Source,
    is_media,
    misnamed_source,
    suffix_of,
)  # fmt: skip
from pipelines.readers.tree import walk
from space_data.store import Place

DATASET = "ravdess"
_ZENODO = "zenodo.org/records/1188976"
PUBLISHED = {
    "actors": Published(24, _ZENODO),
    "trials": Published(2452, _ZENODO),
    "speech trials": Published(1440, _ZENODO),
    "song trials": Published(1012, _ZENODO),
    "full-AV files": Published(2452, _ZENODO),
    "video-only files": Published(2452, _ZENODO),
    "audio-only files": Published(2452, _ZENODO),
}
NAME = re.compile(r"(0[123])-(0[12])-(0[1-8])-(0[12])-(0[12])-(0[12])-(0[1-9]|1\d|2[0-4])")
NAMED = re.compile(rf"(?<![\d-]){NAME.pattern}(?![\d-])")
ACTOR_FOLDER = re.compile(r"Actor_(\d\d)(?:/|$)")
MODALITIES = {"01": "full-AV", "02": "video-only", "03": "audio-only"}
EMOTIONS = {
    "01": "neutral", "02": "calm", "03": "happy", "04": "sad", "05": "angry", "06": "fearful", "07": "disgusted",
    "08": "surprised",
}  # fmt: skip
INTENSITIES = {"01": 0.5, "02": 1.0}
STATEMENTS = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}
SONG = "02"
SONG_EMOTIONS = ("01", "02", "03", "04", "05", "06")
SONGLESS_ACTOR = "18"
TRIALS = {"01": 60, SONG: 44}
"""Per actor: (7 emotions x 2 intensities + neutral) x 2 statements x 2 repetitions, with 5 emotions for song."""

Trial = tuple[str, ...]
"""Channel, emotion, intensity, statement, repetition, actor, as in the name."""


def list_clips(root: Place) -> Listing:
    """One clip per trial that has a picture."""
    tree = walk(root)
    trials: dict[Trial, dict[str, str]] = {}
    sources: list[Source] = []
    findings: list[Finding] = []
    ignored: list[str] = []
    for name in tree.files:
        stem, suffix = os.path.splitext(os.path.basename(name))
        match = NAME.fullmatch(stem)
        of_picture = suffix.lower() in VIDEO_SUFFIXES
        if match is None or of_picture != (match[1] != "03") or not (of_picture or suffix.lower() in SOUND_SUFFIXES):
            _misnamed(root, name, sources, findings, ignored)
            continue
        trial = match.groups()[1:]
        folder = ACTOR_FOLDER.findall(os.path.dirname(name) + "/")
        if folder and folder[-1] != trial[-1]:
            findings.append(Finding("misnamed", name, f"lies with actor {folder[-1]}, the name says {trial[-1]}"))
        files = trials.setdefault(trial, {})
        if match[1] in files:
            ignored.append(name)
            findings.append(Finding("duplicate", name, f"the same take as {files[match[1]]}, which is taken"))
        else:
            files[match[1]] = name
    companions = 0
    for trial, files in trials.items():
        if wrong := _impossible(trial):
            findings.append(Finding("impossible", min(files.values()), wrong))
        picture, sound = files.get("01") or files.get("02"), files.get("03")
        if picture is None:
            assert sound is not None
            ignored.append(sound)
            findings.append(Finding("unmatched", sound, "no video of this trial"))
            continue
        if sound is None and "01" not in files:
            findings.append(Finding("unmatched", picture, "a video without sound, and no sound file of this trial"))
        companions += "01" in files and "02" in files
        sources.append(_source(trial, picture, sound))
    findings += _missing(set(trials))
    return tree.listing(sources, ignored, findings, companions, _counts(trials))


def root_levels(root: Place) -> str:
    """``Actor_NN/`` if the root is an actor's folder; else empty."""
    name = root.resolved().rpartition("/")[2]
    return f"{name}/" if ACTOR_FOLDER.search(name) else ""


def person_of(name: str) -> str:
    """The actor whom a name with the seven fields tells, else the folder; empty if neither does."""
    named = NAMED.search(name.rpartition("/")[2])
    actors = [named[7]] if named else ACTOR_FOLDER.findall(os.path.dirname(name) + "/")
    return f"Actor_{actors[-1]}" if actors else ""


def _misnamed(root: Place, name: str, sources: list[Source], findings: list[Finding], ignored: list[str]) -> None:
    """A file whose name is none of the corpus: a clip if it is a video."""
    if suffix_of(name) in VIDEO_SUFFIXES:
        source, finding = misnamed_source(name, DATASET, person_of(root_levels(root) + name))
        sources.append(source)
        findings.append(finding)
    else:
        ignored.append(name)
        if is_media(name):
            findings.append(Finding("misnamed", name))


def _source(trial: Trial, picture: str, sound: str | None) -> Source:
    channel, emotion, intensity, statement, _, actor = trial
    return Source(
        clip_id=f"{DATASET}/Actor_{actor}/{'-'.join(trial)}", path=picture, dataset=DATASET,
        subject=f"{DATASET}/Actor_{actor}", emotion=EMOTIONS[emotion],
        intensity=0.0 if emotion == "01" else INTENSITIES[intensity], view="front", language="en",
        sex="m" if int(actor) % 2 else "f", audio=sound or "",
        statement=STATEMENTS[statement] + (" (sung)" if channel == SONG else ""),
    )  # fmt: skip


def _impossible(trial: Trial) -> str:
    """Why the corpus cannot have a trial; empty if it can."""
    channel, emotion, intensity, _, _, actor = trial
    if emotion == "01" and intensity == "02":
        return "neutral is never strong"
    if channel == SONG and actor == SONGLESS_ACTOR:
        return f"actor {SONGLESS_ACTOR} has no song"
    if channel == SONG and emotion not in SONG_EMOTIONS:
        return f"nobody sings {EMOTIONS[emotion]}"
    return ""


def _missing(trials: set[Trial]) -> list[Finding]:
    """Actors of whose speech or song some trials are here, but not all."""
    found = Counter((trial[-1], trial[0]) for trial in trials if not _impossible(trial))
    return [
        Finding("missing", f"Actor_{actor} {'song' if channel == SONG else 'speech'}", f"{n} of {TRIALS[channel]} trials")
        for (actor, channel), n in sorted(found.items())
        if n < TRIALS[channel]
    ]


def _counts(trials: dict[Trial, dict[str, str]]) -> Counter[str]:
    counts = Counter(actors=len({trial[-1] for trial in trials}), trials=len(trials))
    counts["song trials"] = sum(trial[0] == SONG for trial in trials)
    counts["speech trials"] = len(trials) - counts["song trials"]
    for modality, words in MODALITIES.items():
        counts[f"{words} files"] = sum(modality in files for files in trials.values())
    return counts
