"""VoxCeleb2: celebrities in interviews, cut from YouTube; one face track of 224x224 pixels at 25 fps per utterance.

* Size: 6,112 speakers, 150,480 videos, 1,128,246 utterances, 2,442 h (Chung et al. 2018, arXiv 1806.05622); archives of about
  250 GB of mp4, 72 GB of m4a, 1.5 GB of txt. Dev and test hold different speakers.
* Licence: the annotations are CC BY 4.0, the videos are their owners'. By registration; the files left the Oxford site.
* Layout: ``{dev,test}/{mp4,aac,txt}/idNNNNN/<youtube id>/NNNNN.{mp4,m4a,txt}``, or any one of those levels as the root; sound
  converted to wav may lie in ``wav/``. Base names repeat everywhere: the three parts of the path are the key. ``vox2_meta.csv``
  (anywhere below the root) gives sex and set.
* Split: test speakers are ``test``, dev speakers go by the hash of their id. Without ``dev/`` or ``test/`` in the path (nor in
  the root's name) the set is taken from ``vox2_meta.csv``, without that all go by their hash.

Annotations are kept as evidence and never applied. ``Offset`` is in frames. Sure: SyncNet's published code, by the same group,
prints a positive offset where the *sound leads*, so our sign (+ = sound late) is the opposite, and that is how it is stored.
Not sure: that the txt files were written with that sign, and whether the offset is still in the published mp4. ``FV Conf``
(face verification) and ``ASD Conf`` (active speaker) are copied. The boxes are fractions of the original YouTube picture, of no
use with the crops; their number of rows should be the clip's number of frames (``space data check --probe``).
"""

import dataclasses
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache

from pipelines.readers.listing import (
    SOUND_SUFFIXES,
    VIDEO_SUFFIXES,
    Finding,
    Listing,
    Published,
    Source,
    is_media,
    misnamed_source,
    read_lines,
    suffix_of,
)  # fmt: skip
from pipelines.readers.tree import walk
from space_data.store import Place

DATASET = "vox2"
META = "vox2_meta.csv"
_PAPER = "arXiv 1806.05622"
PUBLISHED = {
    "speakers": Published(6112, _PAPER),
    "videos": Published(150_480, _PAPER),
    "utterances": Published(1_128_246, _PAPER),
    "dev speakers": Published(5994, _PAPER),
    "dev utterances": Published(1_092_009, _PAPER),
    "test speakers": Published(118, _PAPER),
    "test utterances": Published(36_237, "all - dev; lists that print 36273 swap two digits"),
    "hours": Published(2442, _PAPER),
}
FOLDER = re.compile(r"(?:(.*)/)?(id\d{5})/([\w-]{11})")
"""Folders above, speaker, YouTube id."""
UTTERANCE = re.compile(r"\d{5}")
_JOIN = r"[/_#@+~ -]{1,2}"
FLAT = re.compile(rf"(?:(.*){_JOIN})?(id\d{{5}}){_JOIN}([\w-]{{11}}){_JOIN}(\d{{5,6}}(?:{_JOIN}\d{{1,6}})?)")
"""The same and the utterance, joined to one name; a YouTube id may hold ``_`` and ``-``, but has 11 characters. Cut again, an
utterance has two numbers (``#001093#001192``: first and last frame)."""
SPEAKER = re.compile(r"(?<![A-Za-z0-9])(id\d{5})(?=[/_#@+~ .-])")
ROOT = re.compile(r"(?:/(dev|test))?(?:/(?:mp4|aac|txt|wav))?(?:/(id\d{5}(?:/[\w-]{11})?))?$")
"""The end of the root's path: set, then speaker and YouTube id, as far as it is opened so deep."""
BOTH = "dev and test"
SET = re.compile(r"(?:^|[/_])(dev|test)(?:[/_]|$)")
FIELD = re.compile(r"^(Identity|Reference|Offset|FV Conf|ASD Conf)[\s:]+(\S+)", re.MULTILINE)
ROW = re.compile(rb"^\d+\s", re.MULTILINE)
CELL = re.compile(r'[^\s,;"]+')
READ_AT_A_TIME, BATCH = 32, 4096
VIDEO, SOUND, TEXT = "video", "sound", "text"
"""Fields of ``_Utterance``."""
HEAD_BYTES = 512
"""The fields and the first rows of an annotation; its million siblings make reading more expensive than opening."""

NUMBERS = 65_536
"""Confidences have three digits behind the point: a million annotations hold so many different numbers at most."""


@dataclass(frozen=True)
class Annotation:
    """The head of a txt file, as it stands there."""

    identity: str
    reference: str
    offset_frames: float | None
    """SyncNet's sign"""
    face_confidence: float | None
    speaker_confidence: float | None


def read_annotation(file: Place) -> Annotation | None:
    """Fields of an annotation file; None if it cannot be read, or holds none of them or no number where one must be."""
    try:
        fields = dict(FIELD.findall(file.read(HEAD_BYTES).partition(b"FRAME")[0].decode()))
        numbers = [float(fields[name]) if name in fields else None for name in ("Offset", "FV Conf", "ASD Conf")]
    except (OSError, ValueError):
        return None
    return Annotation(fields.get("Identity", ""), fields.get("Reference", ""), *numbers) if fields else None


def annotated_frames(video: Place) -> int | None:
    """Rows, one per frame, of the txt file beside an mp4 of the official layout; None if there is none."""
    path = re.sub(r"/mp4/(?=id\d{5}/[^/]+/[^/?]+(\?|$))", "/txt/", video.uri)
    file = Place(re.sub(r"\.\w+(?=\?|$)", ".txt", path, count=1))
    return len(ROW.findall(file.read())) if file.is_file() else None


@dataclass(slots=True)
class _Utterance:
    """The files of an utterance; empty where there is none. There may be a million: one small object for all three."""

    video: str = ""
    sound: str = ""
    text: str = ""


@dataclass
class _Files:
    """Names by what they are. ``sets``: dev or test by speaker, as the path says; empty if it does not."""

    utterances: dict[str, _Utterance] = field(default_factory=dict)
    """by clip id, the one string that the clips take over"""
    sets: dict[str, str] = field(default_factory=dict)
    misnamed: list[str] = field(default_factory=list)
    meta: str = ""
    companions: int = 0
    ignored: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def place(self, speaker: str, named_set: str) -> None:
        """Note that a video of the speaker lies in that set."""
        before = self.sets.get(speaker, "")
        self.sets[speaker] = before if named_set in ("", before) else named_set if not before else BOTH


def root_levels(root: Place) -> tuple[str, str]:
    """What the root's path says: dev or test, and ``idNNNNN/`` or ``idNNNNN/<youtube id>/``; empty where it does not."""
    match = ROOT.search(root.resolved())
    assert match is not None  # every part of it is optional
    if match[2]:
        return match[1] or "", f"{match[2]}/"
    named = SET.search(root.resolved().rpartition("/")[2])
    return match[1] or (named[1] if named else ""), ""


def person_of(name: str) -> str:
    """The speaker whom a path or a flattened name tells; empty if it tells none."""
    found = SPEAKER.findall(name)
    return found[-1] if found else ""


def _set_of(match: re.Match[str] | None, root_set: str) -> str:
    """Set that the folders above a speaker name, else the root's."""
    named = SET.search(match[1] or "") if match else None
    return named[1] if named else root_set


def _sorted_out(root_set: str, inside: str, names: list[str]) -> _Files:
    """The names of a tree by what they are; ``root_set`` and ``inside``: ``root_levels``."""
    files = _Files()
    by_suffix = dict.fromkeys(VIDEO_SUFFIXES, VIDEO) | dict.fromkeys(SOUND_SUFFIXES, SOUND) | {".txt": TEXT}
    last_folder = None
    named_set = speaker = youtube_id = ""
    for name in names:  # sorted, so that the files of a folder follow each other, and share strings: there are millions
        folder, _, base = name.rpartition("/")
        if folder != last_folder:
            match = FOLDER.fullmatch(f"{inside}{folder}".rstrip("/"))
            last_folder, named_set = folder, _set_of(match, root_set)
            speaker, youtube_id = (sys.intern(match[2]), sys.intern(match[3])) if match else ("", "")
        stem, suffix = sys.intern(base.partition(".")[0]), suffix_of(base)
        kind = by_suffix.get(suffix)
        whose, clip_id, key_set = speaker, f"{DATASET}/{speaker}/{youtube_id}/{stem}", named_set
        if not speaker or not UTTERANCE.fullmatch(stem):
            flat = FLAT.fullmatch(f"{inside}{os.path.splitext(name)[0]}")
            whose, clip_id = (flat[2], "/".join((DATASET, flat[2], flat[3], re.sub(r"\D+", "_", flat[4])))) if flat else ("", "")
            key_set = _set_of(flat, root_set)
        if not whose or base.count(".") != 1:
            _odd(files, name, kind == VIDEO)
            continue
        if kind == VIDEO:
            files.place(whose, key_set)
        if kind is None:
            files.ignored.append(name)
            continue
        utterance = files.utterances.setdefault(clip_id, _Utterance())
        taken = getattr(utterance, kind)
        if not taken:
            setattr(utterance, kind, name)
        elif kind == SOUND and suffix != suffix_of(taken):
            files.companions += 1  # a converted copy; names are sorted, so the m4a is the one that is taken
        else:
            files.ignored.append(name)
            files.findings.append(Finding("duplicate", name, f"the same utterance as {taken}, which is taken"))
    return files


def _odd(files: _Files, name: str, is_video: bool) -> None:
    """A file whose name is not that of an utterance."""
    if name.rpartition("/")[2] == META and not files.meta:
        files.meta = name
    elif is_video:
        files.misnamed.append(name)
    else:
        files.ignored.append(name)
        if is_media(name):
            files.findings.append(Finding("misnamed", name))


def list_clips(root: Place) -> Listing:
    """All utterances with a video. Files without one, and names that the corpus does not have, are findings."""
    tree = walk(root)
    root_set, inside = root_levels(root)
    files = _sorted_out(root_set, inside, tree.files)
    tree.files.clear()
    findings = files.findings
    people = _people(root, files.meta, findings)
    for speaker, named_set in files.sets.items():
        listed_set = people.get(speaker, ("", ""))[1]
        if named_set == BOTH or (named_set and listed_set and named_set != listed_set):
            listed = f"; {META} has it in {listed_set}" if listed_set else ""
            findings.append(Finding("misnamed", speaker, f"lies in {named_set}{listed}: taken as test"))
        files.sets[speaker] = "test" if "test" in named_set + listed_set else named_set or listed_set
    counts = _counts(files)
    lone = [name for u in files.utterances.values() if not u.video for name in (u.sound, u.text) if name]
    texts, lone_texts = sum(bool(u.text) for u in files.utterances.values()), sum(suffix_of(name) == ".txt" for name in lone)
    sources = list(_sources(root, files, people))
    findings += [Finding("unmatched", name, "no video") for name in lone]
    findings += _without(sources, bool(texts))
    for name in files.misnamed:
        speaker = person_of(inside + name)
        source, finding = misnamed_source(name, DATASET, speaker)
        sources.append(dataclasses.replace(source, split="test" if files.sets.get(speaker) == "test" else ""))
        findings.append(finding)
    findings.sort(key=lambda finding: finding.path)
    companions = files.companions + texts - lone_texts + bool(files.meta)
    return tree.listing(sources, files.ignored + lone, findings, companions, counts)


def _sources(root: Place, files: _Files, people: dict[str, tuple[str, str]]) -> Iterator[Source]:
    """The clips of all utterances that have a video; takes them out of ``files``, so that both are never held whole."""

    def read(name: str) -> Annotation | None:
        return read_annotation(root / name) if name else None

    with ThreadPoolExecutor(READ_AT_A_TIME) as pool:  # from a bucket each takes its while
        while files.utterances:
            some = [files.utterances.popitem() for _ in range(min(len(files.utterances), BATCH))]
            filmed = [(clip_id, utterance) for clip_id, utterance in some if utterance.video]
            texts = [utterance.text for _, utterance in filmed]
            annotations = pool.map(read, texts) if root.is_remote else map(read, texts)
            for (clip_id, utterance), annotation in zip(filmed, annotations, strict=True):
                yield _source(clip_id, utterance, files, people, annotation)


def _source(
    clip_id: str, utterance: _Utterance, files: _Files, people: dict[str, tuple[str, str]], annotation: Annotation | None
) -> Source:
    _, speaker, youtube_id, _ = clip_id.split("/")
    text = utterance.text
    if text and annotation is None:
        files.findings.append(Finding("annotation", text, "no Offset, FV Conf or ASD Conf can be read from it"))
    elif text and annotation and not {annotation.identity, annotation.reference} <= {speaker, youtube_id, ""}:
        files.findings.append(Finding("annotation", text, f"says it is of {annotation.identity} {annotation.reference}"))
        annotation = None
    sex, _ = people.get(speaker, ("", ""))
    offset = annotation.offset_frames if annotation else None
    return Source(
        clip_id=clip_id, path=utterance.video, dataset=DATASET,
        subject=sys.intern(f"{DATASET}/{speaker}"), sex=sex, split="test" if files.sets[speaker] == "test" else "",
        audio=utterance.sound, recording=sys.intern(youtube_id),
        annotated_offset_frames=None if offset is None else _shared(0.0 - offset),
        annotated_speaker_confidence=_shared(annotation.speaker_confidence) if annotation else None,
        annotated_face_confidence=_shared(annotation.face_confidence) if annotation else None,
    )  # fmt: skip


@lru_cache(NUMBERS)
def _shared(number: float | None) -> float | None:
    """The number, as one object for all clips that have it."""
    return number


def _people(root: Place, meta: str, findings: list[Finding]) -> dict[str, tuple[str, str]]:
    """Sex and set by speaker; the published table separates its columns by commas with blanks or tabs before them."""
    if not meta:
        return {}
    people = {}
    for number, line in enumerate(read_lines(root / meta)[1:], 2):
        columns = CELL.findall(line)
        if len(columns) >= 4 and columns[2] in ("m", "f") and columns[3] in ("dev", "test"):
            people[columns[0]] = (columns[2], columns[3])
        elif columns:
            findings.append(Finding("annotation", meta, f"row {number}: {line!r}, need id, VGGFace2 id, m or f, dev or test"))
    return people


def _without(sources: list[Source], any_text: bool) -> list[Finding]:
    """Clips without sound file or annotation, where others have one: per speaker, since whole archives are often left out."""
    total = Counter(source.subject for source in sources)
    mute = Counter(source.subject for source in sources if not source.audio)
    bare = Counter(source.subject for source in sources if source.annotated_offset_frames is None)
    cases = (("no sound file (the video's own is taken)", mute, mute != total), ("no offset annotated", bare, any_text))
    return [
        Finding("unmatched", subject, f"{n} of {total[subject]} utterances: {what}")
        for what, counted, wanted in cases
        if wanted
        for subject, n in sorted(counted.items())
    ]


def _counts(files: _Files) -> Counter[str]:
    per_video = Counter(clip_id.rpartition("/")[0] for clip_id, utterance in files.utterances.items() if utterance.video)
    per_speaker = Counter[str]()
    for video, n in per_video.items():
        per_speaker[video.split("/")[1]] += n
    counts = Counter(speakers=len(per_speaker), videos=len(per_video), utterances=per_video.total())
    for name in ("dev", "test"):
        counts[f"{name} speakers"] = sum(named == name for named in files.sets.values())
        counts[f"{name} utterances"] = sum(n for speaker, n in per_speaker.items() if files.sets[speaker] == name)
    return counts
