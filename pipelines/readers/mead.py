"""MEAD: actors speak English sentences with eight emotions at three levels, filmed from seven sides (Wang et al., ECCV 2020).

* Size: 60 actors by the paper; users count 48 in the released part. Per actor 40 neutral sentences and 30 of each other emotion
  and level, each from seven views: 4,690 videos and 670 sound files. The page says "about 40 hours"; whether per actor and view
  or in all is read differently, so hours are not reconciled. 1080p H.264 at about 30 fps (an odd 65521/2184 is known, and a
  variable one), 48 kHz.
* Licence: non-commercial research, by request (project page wywu.github.io/projects/MEAD).
* Layout: one package per actor, ``{M,W}NNN/video/<view>/<emotion>/level_<1-3>/NNN.mp4`` and
  ``{M,W}NNN/audio/<emotion>/level_<n>/NNN.m4a`` (or wav): the sound has no view and serves all seven; it is a few hundredths of
  a second shorter than the video. The root may hold the actors at any depth.
* Known to be incomplete as released: W017 (almost only ``down``), M011, M019.

Sentence numbers are not aligned across emotions, so ``statement`` is emotion, level and number; ``recording`` names the take
that the views share. Levels 1-3 are intensities 1/3, 2/3, 1; neutral (level 1 only) is 0; fear is our "fearful". The corpus'
own split holds out sentences of known actors; ours holds out actors.
"""

import os
import re
from collections import Counter, defaultdict

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

DATASET = "mead"
PUBLISHED = {
    "actors": Published(60, "ECCV 2020; users count 48 in the released part"),
    "views": Published(7, "project page"),
    "emotions": Published(8, "project page"),
}
EMOTIONS = {
    "angry": "angry", "contempt": "contempt", "disgusted": "disgusted", "fear": "fearful", "happy": "happy", "neutral": "neutral",
    "sad": "sad", "surprised": "surprised",
}  # fmt: skip
VIEWS = ("front", "down", "top", "left_30", "left_60", "right_30", "right_60")
LEVELS = ("1", "2", "3")
TAKES = {"neutral": 40}
"""Sentences of an emotion at one level; 30 for all but this one."""
OTHER_TAKES = 30
INCOMPLETE = {"W017": "almost only view down", "M011": "incomplete", "M019": "incomplete"}
"""As released; users say so."""
_ACTOR = r"(?:.*[/_#@-])?([MW]\d{3})[/_#@-]"
_TAKE = rf"({'|'.join(EMOTIONS)})(?:[/_#@-](?:level[_-]?)?(\d))?[/_#@-](\d{{3}})"
_VIEW = "|".join(VIEWS).replace("_", "[_-]?")
VIDEO = re.compile(rf"{_ACTOR}(?:video[/_#@-])?(?:({_VIEW})[/_#@-])?{_TAKE}")
AUDIO = re.compile(rf"{_ACTOR}(?:audio[/_#@-])?{_TAKE}")
ACTOR = re.compile(r"(?<![A-Za-z0-9])([MW]\d{3})(?=[/_#@-])")
EMOTION = re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(EMOTIONS)})(?![A-Za-z])", re.IGNORECASE)
ROOT = re.compile(r"(?:^|/)([MW]\d{3}(?:/(?:video|audio)(?:/.*)?)?)$")
"""The end of the root's path, if that lies at or below an actor."""

Take = tuple[str, str, str, str]
"""Actor, emotion, level, number."""


def list_clips(root: Place) -> Listing:
    """One clip per video; the seven views of a take share its sound file."""
    tree = walk(root)
    inside = root_levels(root)
    videos: dict[tuple[Take, str], str] = {}
    sounds: dict[Take, str] = {}
    sources: list[Source] = []
    findings: list[Finding] = []
    ignored: list[str] = []
    companions = 0
    for name in tree.files:
        video, audio = _video(inside + name), _audio(inside + name)
        if video is not None and video not in videos:
            videos[video] = name
        elif audio is not None and audio not in sounds:
            sounds[audio] = name
        elif audio is not None and suffix_of(sounds[audio]) != suffix_of(name):
            companions += 1  # a converted copy; names are sorted, so the m4a is the one that is taken
        elif video is not None or audio is not None:
            ignored.append(name)
            taken = videos[video] if video is not None else sounds[audio]  # type: ignore[index]
            findings.append(Finding("duplicate", name, f"the same take as {taken}, which is taken"))
        elif suffix_of(name) in VIDEO_SUFFIXES:
            source, finding = misnamed_source(name, DATASET, person_of(inside + name))
            sources.append(source)
            findings.append(finding)
        else:
            ignored.append(name)
            if is_media(name):
                findings.append(Finding("misnamed", name))
    filmed = {take for take, _ in videos}
    for take, name in sounds.items():
        if take not in filmed:
            ignored.append(name)
            findings.append(Finding("unmatched", name, "no video of this take from any side"))
    findings += [Finding("impossible", name, wrong) for (take, _), name in videos.items() if (wrong := _impossible(take))]
    findings += _missing(videos, sounds)
    sources += [_source(take, view, name, sounds.get(take)) for (take, view), name in videos.items()]
    return tree.listing(sources, ignored, findings, companions, _counts(videos, sounds))


def root_levels(root: Place) -> str:
    """``M003/``, ``M003/video/`` and so on, if the root lies at or below an actor; else empty."""
    match = ROOT.search(root.resolved())
    return f"{match[1]}/" if match else ""


def person_of(name: str) -> str:
    """The actor whom a path or a flattened name tells; empty if it tells none."""
    found = ACTOR.findall(name)
    return found[-1] if found else ""


def person_in_take(name: str) -> str:
    """The actor, where an emotion of the corpus stands in the name as well: M001 alone may be anybody's numbering."""
    return person_of(name) if EMOTION.search(name) else ""


def _video(name: str) -> tuple[Take, str] | None:
    """Take and view (empty: not said) of a video file's name, flattened or not; None if it is no such name."""
    stem, suffix = os.path.splitext(name)
    match = VIDEO.fullmatch(stem) if suffix.lower() in VIDEO_SUFFIXES else None
    if match is None or (take := _take(match[1], *match.group(3, 4, 5))) is None:
        return None
    return take, "" if match[2] is None else re.sub(r"[_-]?(\d+)", r"_\1", match[2])


def _audio(name: str) -> Take | None:
    """Take of a sound file's name; None if it is no such name."""
    stem, suffix = os.path.splitext(name)
    match = AUDIO.fullmatch(stem) if suffix.lower() in SOUND_SUFFIXES else None
    return _take(*match.groups()) if match else None


def _take(actor: str, emotion: str, level: str | None, number: str) -> Take | None:
    """The take; only neutral, which has one level, may leave it out."""
    if level is None and emotion == "neutral":
        level = LEVELS[0]
    return (actor, emotion, level, number) if level in LEVELS else None


def _source(take: Take, view: str, video: str, sound: str | None) -> Source:
    actor, emotion, level, number = take
    statement = f"{emotion}/level_{level}/{number}"
    return Source(
        clip_id="/".join(filter(None, (DATASET, actor, view, statement))), path=video, dataset=DATASET,
        subject=f"{DATASET}/{actor}", emotion=EMOTIONS[emotion],
        intensity=0.0 if emotion == "neutral" else int(level) / len(LEVELS), view=view, language="en",
        sex="m" if actor[0] == "M" else "f", audio=sound or "",
        recording=f"{actor}/{statement}", statement=statement,
    )  # fmt: skip


def _impossible(take: Take) -> str:
    """Why the corpus cannot have a take; empty if it can."""
    _, emotion, level, _ = take
    return f"neutral has level 1 only, not {level}" if emotion == "neutral" and level != "1" else ""


def _missing(videos: dict[tuple[Take, str], str], sounds: dict[Take, str]) -> list[Finding]:
    """Per actor: views that are not there; per actor, view, emotion and level: takes; and takes without their sound."""
    found = Counter((actor, view, emotion, level) for (actor, emotion, level, _), view in videos)
    views: dict[str, set[str]] = defaultdict(set)
    for actor, view, _, _ in found:
        views[actor].add(view)
    findings = []
    for actor, seen in sorted(views.items()):
        known = f" (as released: {INCOMPLETE[actor]})" if actor in INCOMPLETE else ""
        absent = [view for view in VIEWS if view not in seen]
        if absent and "" not in seen:
            findings.append(Finding("missing", actor, f"no view {', '.join(absent)}{known}"))
        for view in sorted(seen):
            for emotion in EMOTIONS:
                wanted = TAKES.get(emotion, OTHER_TAKES)
                for level in LEVELS[:1] if emotion == "neutral" else LEVELS:
                    n = found[actor, view, emotion, level]
                    if n < wanted:
                        where = "/".join(filter(None, (actor, "video", view, emotion, f"level_{level}")))
                        findings.append(Finding("missing", where, f"{n} of {wanted} takes{known}"))
    mute = Counter(take[0] for take, _ in videos if take not in sounds)
    of_actor = Counter(take[0] for take, _ in videos)
    if sounds:
        findings += [
            Finding("unmatched", actor, f"{n} of {of_actor[actor]} videos: no sound file (the video's own is taken)")
            for actor, n in sorted(mute.items())
        ]
    return findings


def _counts(videos: dict[tuple[Take, str], str], sounds: dict[Take, str]) -> Counter[str]:
    return Counter(
        actors=len({take[0] for take, _ in videos}), views=len({view for _, view in videos} - {""}),
        emotions=len({take[1] for take, _ in videos}), takes=len({take for take, _ in videos}), videos=len(videos),
        **{"sound files": len(sounds)},
    )  # fmt: skip
