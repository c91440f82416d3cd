"""The card of a system that is not ours: what it is, how its pictures are to be read, and, if we drive it, how it is called.

A card is YAML. Whoever hands in videos writes one with a title; whatever else is left out is shown as not stated.
"""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Formatter
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from evaluation.canonical import Framing
from evaluation.external.coverage import COVERAGES
from evaluation.external.shims import SHIMS
from evaluation.systems import ENTRIES, Entry, Kind
from space_data.errors import SpaceError, first_problem
from space_data.yaml_files import read_yaml

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]*$"
CARD_FILE = "card.yaml"


PLACEHOLDERS = ("portrait", "audio", "pose", "recording", "portrait_video", "driving", "out", "folder", "checkout")
"""What stands for a path in a program's arguments, files, output and environment."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Share = Annotated[float, Field(ge=0, le=1)]
Frames = Annotated[int, Field(ge=0)]


class Checkpoint(_Strict):
    """A file of weights."""

    file: str
    sha256: str = ""


class Pictures(_Strict):
    """`evaluation.canonical.Framing`, but for what padding decides."""

    panel: tuple[Share, Share, Share, Share] = (0.0, 0.0, 1.0, 1.0)
    reframes: bool = False
    held_frames: Frames = 0
    surplus_frames: Frames = 0

    @field_validator("panel")
    @classmethod
    def _has_an_area(cls, panel: tuple[Share, Share, Share, Share]) -> tuple[Share, Share, Share, Share]:
        left, top, right, bottom = panel
        if not (left < right and top < bottom):
            raise ValueError(f"{list(panel)} is empty, need left < right and top < bottom as [left, top, right, bottom]")
        return panel


class Program(_Strict):
    """How a system's program is run, once per clip, in a private copy of its checkout.

    In ``arguments``, ``files`` and ``output`` these stand for paths: ``{portrait}``, ``{audio}`` (16 kHz, padded), ``{pose}``
    (the recorded head's angles, CSV), ``{recording}`` (silent), ``{portrait_video}`` (the portrait for as long as the
    sound), ``{driving}`` (our first system's video of the clip), ``{out}`` (the video to make), ``{folder}`` (its folder, empty).
    """

    checkout: str
    """folder below the one that ``space benchmark run --checkouts`` names"""
    interpreter: str = "python"
    """a path, relative to the checkout, or a command"""
    arguments: Annotated[list[str], Field(min_length=1)]
    adapter: Literal["", "makeittalk", "pc_avs"] = ""
    """code of ours that lays out the files and looks for the video"""
    files: dict[str, str] = {}
    """made in the private copy before the run: name and text"""
    output: str = "{out}"
    """where the video then is, a path in the private copy or a pattern with one match"""
    required: list[str] = []
    """files of the checkout without which it is not installed"""
    commands: list[str] = []
    """other programs that it calls by name"""
    refused: list[str] = []
    """words in what it prints that mean failure although it goes on"""
    padding: Literal[tuple(COVERAGES)] = "whole"  # type: ignore[valid-type]
    """which frames of what it hears it draws (`evaluation.external.coverage`)"""
    time_limit_s: Annotated[float, Field(gt=0)] = 1800.0
    environment: dict[str, str] = {}
    shims: list[Literal[tuple(SHIMS)]] = []  # type: ignore[valid-type]
    """of `evaluation.external.shims`: what it needs that today's libraries no longer do"""

    @model_validator(mode="after")
    def _knows_its_placeholders(self) -> Self:
        for text in (*self.arguments, *self.files.values(), self.output, *self.environment.values()):
            used = {name for _, name, _, _ in Formatter().parse(text) if name is not None}
            if unknown := sorted(used - set(PLACEHOLDERS)):
                raise ValueError(f"{{{unknown[0]}}} in {text!r} stands for nothing, need one of {', '.join(PLACEHOLDERS)}")
        return self


class Card(_Strict):
    """One system."""

    title: Annotated[str, Field(min_length=1)]
    description: str = ""
    paper: str = ""
    code: str = ""
    commit: str = ""
    licence: str = ""
    run_by: str = ""
    command: str = ""
    """as it was typed, for videos that are handed in"""
    checkpoints: list[Checkpoint] = []
    pose: Literal["", "generated", "recorded", "portrait"] = ""
    """where head motion comes from: made by the system, the recording's (then heads are compared frame by frame), or none"""
    pictures: Pictures = Pictures()
    program: Program | None = None

    @property
    def kind(self) -> Kind:
        """How its videos come about."""
        if self.program is None:
            return Kind.videos
        return Kind.code if self.program.adapter else Kind.command

    def framing(self, skipped_frames: int = 0, surplus_frames: int = 0) -> Framing:
        """How its pictures are read; a padded sound adds frames before and behind."""
        p = self.pictures
        return Framing(p.panel, p.reframes, skipped_frames, p.held_frames, p.surplus_frames + surplus_frames)

    def with_interpreter(self, interpreter: str | None) -> "Card":
        """The card, run by another interpreter where one is given."""
        if interpreter is None or self.program is None:
            return self
        path = str(Path(interpreter).expanduser().absolute()) if "/" in interpreter else interpreter
        return self.model_copy(update={"program": self.program.model_copy(update={"interpreter": path})})

    def with_shims(self, shims: Sequence[str]) -> "Card":
        """The card, with ``shims`` beside its own.

        Raises:
            SpaceError: there is no such shim.
        """
        if self.program is None or not shims:
            return self
        if unknown := sorted(set(shims) - set(SHIMS)):
            raise SpaceError(f"shim {unknown[0]!r}: no shim of that name, need one of {', '.join(SHIMS)}")
        together = list(dict.fromkeys([*self.program.shims, *shims]))
        return self.model_copy(update={"program": self.program.model_copy(update={"shims": together})})

    def entry(self, name: str) -> Entry:
        """Its place in the registry."""
        said = {"by": self.run_by, "paper": self.paper, "code": self.code, "licence": self.licence, "head motion": self.pose}
        facts = "; ".join(f"{key}: {value or 'not stated'}" for key, value in said.items())
        about = " ".join(filter(None, (self.description, f"({facts})")))
        return Entry(name, self.title, about, self.kind, pose_given=self.pose == "recorded")


def read_card(path: Path) -> Card:
    """Read and check a card.

    Raises:
        SpaceError: no such file, or not a card; the first thing that is wrong is named.
    """
    try:
        return Card.model_validate(read_yaml(path, "a card (docs/benchmark.md)"))
    except ValidationError as error:
        raise SpaceError(f"{path}: {first_problem(error)} (docs/benchmark.md says what a card holds)") from error


def shipped_cards() -> dict[str, Card]:
    """Cards of programs that the package knows how to drive, by name."""
    folder = Path(str(files("evaluation") / "external" / "assets"))
    return {path.stem: read_card(path) for path in sorted(folder.glob("*.yaml"))}


def shipped_card(name: str) -> Card:
    """The card of a program that the package knows.

    Raises:
        SpaceError: it knows no such program.
    """
    cards = shipped_cards()
    if name not in cards:
        raise SpaceError(f"system {name!r}: no card of that name, need one of {', '.join(cards)} (or --card)")
    return cards[name]


def added_cards(external: Path) -> dict[str, Card]:
    """Cards of the systems whose videos were added to a run, by name."""
    return {path.parent.name: read_card(path) for path in sorted(external.glob(f"*/{CARD_FILE}"))}


def registry(external: Path) -> tuple[Entry, ...]:
    """All systems: those of the package, programs that it can drive, and those that were added below ``external``."""
    cards = shipped_cards() | added_cards(external)
    return (*ENTRIES, *(card.entry(name) for name, card in cards.items()))
