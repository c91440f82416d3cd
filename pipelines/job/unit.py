"""The words of the engine: a unit of work, what can become of it, and how it is told apart from others."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from space_data.errors import SpaceError
from space_data.params import Section
from space_data.schema import FAILED, KEPT

UnitFunction = Callable[[Any, Any, Path], str | None]
"""``f(value, settings, folder)`` writes its files into ``folder``. It is a module-level function that depends on nothing but its
arguments: no state passes from unit to unit. It may raise ``Rejected``, and may return what was wrong with its input: the engine
then makes sure that the input can be read and is the one that was meant, before it believes it."""


class Rejected(Exception):
    """Raised by a unit function: the unit is fine to drop, for ``reason`` (of ``REASONS``)."""

    def __init__(self, reason: str, detail: str = "", value: float | None = None, threshold: float | None = None) -> None:
        super().__init__(reason, detail, value, threshold)
        self.content = ""
        """hash of what it was found in, where that says more than ``Unit.content``"""
        self.reason, self.detail, self.value, self.threshold = reason, detail, value, threshold


class EnvironmentFault(SpaceError):
    """The machine, a disk or another file is at fault, not the clip: tried again, never kept, never counted against a clip."""


@dataclass(frozen=True)
class Unit:
    """The smallest work with a fate of its own: a clip, a recording, a shard."""

    unit_id: str
    content: str
    """hash of what the result depends on beside settings and code"""
    value: Any
    """the function's argument; picklable, small: paths and rows, never frames"""
    inputs: tuple[tuple[str, str], ...] = ()
    """files that are read, each with the SHA-256 that it had when ``content`` was taken"""
    cost_s: float = 1.0
    """about how many seconds it takes"""
    members: tuple[str, ...] = ()
    """ids that share the unit's fate in the ledger, if not the unit's own"""

    enters_here: bool = False
    """it does not come from the stage before"""
    partition: str = ""
    """folder for its rows in tables that have partitions"""

    @property
    def ledger_ids(self) -> tuple[str, ...]:
        """Ids that stand in the ledger for this unit."""
        return self.members or (self.unit_id,)


@dataclass(frozen=True)
class Outcome:
    """What became of a unit."""

    unit_id: str
    status: str = KEPT
    reason: str = ""
    detail: str = ""
    value: float | None = None
    threshold: float | None = None
    content: str = ""
    config: str = ""
    version: str = ""
    """hashes of the unit's content, of the settings and of the code: the parts of the key it is kept under"""
    attempts: int = 1
    """of a failed one: how often it was tried"""
    run: str = ""
    """of a failed one: which run tried it last"""
    machine: str = ""
    """kind of the one that it was computed on"""
    blobs: dict[str, int] = field(default_factory=dict)
    """files that went to their own place instead of into the pack, with their sizes"""

    @property
    def failed(self) -> bool:
        """Whether it is nobody's rule but a fault that ended it."""
        return self.status == FAILED


@dataclass(frozen=True)
class FunctionName:
    """A module-level function by name, so that it need not be pickled (stage modules run as ``__main__``)."""

    module: str
    name: str

    @staticmethod
    def of(function: Callable[..., Any]) -> "FunctionName":
        """The name of ``function``, also when its module runs as ``__main__``."""
        module = function.__module__
        if module == "__main__":
            import sys

            module = sys.modules["__main__"].__spec__.name  # type: ignore[union-attr]
        return FunctionName(module, function.__name__)

    def load(self) -> Callable[..., Any]:
        """Import and return the function."""
        return getattr(import_module(self.module), self.name)


def content_hash(*parts: Any) -> str:
    """SHA-256 of JSON-able ``parts`` (dicts with sorted keys), for ``Unit.content``."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def plain(settings: Any) -> Any:
    """Settings as JSON-able data, for the key: what something is, not where it lies (``Section.PLACES``)."""
    if isinstance(settings, Section):
        return settings.model_dump(mode="json", exclude=set(settings.PLACES))
    return [plain(item) for item in settings] if isinstance(settings, tuple | list) else settings
