"""Systems of other people that belong into the comparison: those without figures are named, with the reason, not left out."""

from collections.abc import Container
from dataclasses import dataclass

from evaluation.external.card import shipped_cards


@dataclass(frozen=True)
class PublishedSystem:
    """A published talking-head system, and why the table has no figures of it."""

    name: str
    reference: str
    code: str
    status: str


SPACE = PublishedSystem("SPACE", "Gururani et al., arXiv 2211.09809", "never released", "paper value: not transcribed")


def published(present: Container[str]) -> list[PublishedSystem]:
    """SPACE itself, and every program that a shipped card can drive but that is not among the systems ``present``."""
    absent = [(name, card) for name, card in shipped_cards().items() if name not in present]
    states = {name: f"not run: space benchmark run {name}" for name, _ in absent}
    return [SPACE, *(PublishedSystem(card.title, card.paper, card.code, states[name]) for name, card in absent)]
