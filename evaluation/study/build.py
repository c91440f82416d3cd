"""A study from systems' videos: the design, the files, the page, the manifest."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.folders import new_folder
from evaluation.study.design import design
from evaluation.study.manifest import (
    CATCHES,
    RECORDING,
    Catch,
    Question,
    RaterList,
    Rule,
    Study,
    StudyFolder,
    Texts,
    Trial,
    blind_name,
)  # fmt: skip
from evaluation.study.page import write_page
from evaluation.study.questions import order_for
from evaluation.study.sources import Sources
from evaluation.study.stimuli import write_catch, write_pair
from space_data import progress
from space_data.errors import SpaceError


@dataclass(frozen=True)
class Plan:
    """How large the study is, and whose votes will count."""

    raters: int
    trials: int
    catches: int
    rule: Rule
    seed: int


@dataclass(frozen=True)
class Stimulus:
    """One file to make: ``left`` and ``right`` are systems, or ``RECORDING`` and a kind of catch."""

    left: str
    right: str
    clip: str

    @property
    def names(self) -> frozenset[str]:
        """Both, without their sides."""
        return frozenset((self.left, self.right))


def build(
    out: Path, sources: Sources, pairs: Sequence[tuple[str, str]], questions: tuple[Question, ...], texts: Texts, plan: Plan,
    key: str | None = None,
) -> Study:
    """Make the study ``out``; it appears whole or not at all.

    Args:
        out: a new folder.
        sources: the videos.
        pairs: the systems to compare, two by two.
        questions: what is asked; the last one stays last.
        texts: what raters read first.
        plan: size, rule, seed.
        key: 64 hexadecimal digits that names of files are made with; None: fresh. Equal inputs and keys give equal bytes.

    Raises:
        SpaceError: ``out`` is there already, the design is impossible, a text names a system, or a video cannot be used.
    """
    read = [texts.title, texts.contact, *texts.consent, *(question.text for question in questions)]
    _check_texts(read, [name for pair in pairs for name in pair])
    study = planned(sources, pairs, questions, texts, plan, key or secrets.token_hex(32))
    with new_folder(out, " (a study may have votes)") as part:
        folder = StudyFolder(part)
        folder.media.mkdir(parents=True)
        files = sorted(stimuli_of(study).items())  # by name: not even the times of writing tell
        for name, stimulus in progress.track(files, "pairs of videos", len(files)):
            _write(folder.media / name, stimulus, sources)
        write_page(folder.page, study)
        folder.write(study)
    return study


def planned(
    sources: Sources, pairs: Sequence[tuple[str, str]], questions: tuple[Question, ...], texts: Texts, plan: Plan, key: str
) -> Study:
    """The study as data: nothing is written."""
    clips = sources.clips
    kinds = [kind for kind in CATCHES if any(kind in question.catches for question in questions)]
    if plan.catches and sources.recording is None:
        raise SpaceError("study: catch trials need recordings (say which system they are, or ask for no catch trials)")
    if plan.catches and not kinds:
        raise SpaceError("study: no question has catch trials (add catches to one, or ask for no catch trials)")
    catches = [(kind, clip) for clip in clips for kind in kinds]
    drawn = design(len(pairs), len(clips), plan.raters, plan.trials, plan.catches, len(catches), plan.seed)
    lists = []
    for rater, showings in enumerate(drawn):
        trials = []
        for place, showing in enumerate(showings):
            kind, clip = catches[showing.pair] if showing.is_catch else (None, clips[showing.clip])
            sides = pairs[showing.pair] if kind is None else (RECORDING, kind)
            trials.append(_trial(key, f"{rater}:{place}", sides, clip, kind, showing.first_on_left))
        lists.append(RaterList(questions=order_for(rater, questions), trials=tuple(trials)))
    return Study(
        study_id=blind_name(key, "study"), key=key, seed=plan.seed, texts=texts,
        systems=tuple(name for name in sources.videos if any(name in pair for pair in pairs)),
        pairs=tuple(pairs), clips=tuple(clips), left_out=dict(sources.left_out), questions=questions, rule=plan.rule,
        lists=tuple(lists),
    )  # fmt: skip


def _trial(key: str, place: str, sides: tuple[str, str], clip: str, catch: Catch | None, first_on_left: bool) -> Trial:
    left, right = sides if first_on_left else reversed(sides)
    return Trial(
        id=blind_name(key, "trial", place), media=_file_name(key, sides, clip),
        is_swapped=stimulus_of(key, sides, clip).left != left, left=left, right=right, clip=clip, catch=catch,
    )  # fmt: skip


def _file_name(key: str, sides: tuple[str, str], clip: str) -> str:
    return f"{blind_name(key, 'file', *sorted(sides), clip)}.mp4"


def stimulus_of(key: str, sides: tuple[str, str], clip: str) -> Stimulus:
    """Which of two stands in the file's left half: drawn with the key, so that the file says nothing."""
    first, second = sorted(sides)
    if int(blind_name(key, "halves", first, second, clip), 16) % 2:
        first, second = second, first
    return Stimulus(first, second, clip)


def stimuli_of(study: Study) -> dict[str, Stimulus]:
    """The files of a study by name, each once however many lists show it."""
    return {
        trial.media: stimulus_of(study.key, (trial.left, trial.right), trial.clip) for one in study.lists for trial in one.trials
    }


def _write(path: Path, stimulus: Stimulus, sources: Sources) -> None:
    sound = sources.sound[stimulus.clip]
    if RECORDING in stimulus.names:
        assert sources.recording is not None
        (kind,) = stimulus.names - {RECORDING}
        recording = sources.videos[sources.recording][stimulus.clip]
        write_catch(path, recording, kind, sound, recording_first=stimulus.left == RECORDING)
    else:
        write_pair(path, [sources.videos[name][stimulus.clip] for name in (stimulus.left, stimulus.right)], sound)


def _check_texts(texts: Sequence[str], systems: Sequence[str]) -> None:
    """Nothing that raters read may name a system."""
    for name in systems:
        for text in texts:
            if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE):
                fix = "raters must not know: use other words, or call the system something else"
                raise SpaceError(f"study: the text {text!r} names the system {name!r} ({fix})")
