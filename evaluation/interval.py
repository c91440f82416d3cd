"""A figure over people, as reports keep it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.statistics import jackknife_interval, summarise


@dataclass(frozen=True)
class Interval:
    """A figure over people with its 95 % interval; without one where there is only one person."""

    mean: float
    low: float | None
    high: float | None
    people: int

    @staticmethod
    def jackknifed(value: float, left_out: list[float]) -> "Interval":
        """Of a figure that is no mean, from its values without each person in turn."""
        low, high = jackknife_interval(value, np.array(left_out)) or (None, None)
        return Interval(value, low, high, len(left_out))

    @staticmethod
    def over_people(values: Sequence[float], subjects: Sequence[str]) -> "Interval":
        """Mean over people of the mean over each one's values; at least one value."""
        found = summarise(values, subjects)
        assert found.mean is not None
        return Interval(found.mean, found.low, found.high, found.n_identities)

    @property
    def arms(self) -> tuple[float, float]:
        """How far the interval reaches below and above; 0 without one."""
        return (0.0, 0.0) if self.low is None or self.high is None else (self.mean - self.low, self.high - self.mean)

    @property
    def text(self) -> str:
        """With its interval, two decimals."""
        return f"{self.mean:.2f}" + ("" if self.low is None or self.high is None else f" [{self.low:.2f}, {self.high:.2f}]")
