"""Progress bars with an ETA on standard error, and the log set-up that does not collide with them."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

T = TypeVar("T")

console = Console(stderr=True)
_state = {"quiet": False}
_COLOURS = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}


class _ConsoleHandler(logging.Handler):
    """One line per record, above the bars; never folded, so that a log file or `grep` has it whole."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print it: time, level if it is a warning or worse, message, traceback if there is one."""
        colour = _COLOURS.get(record.levelname)
        level = f"[{colour}]{record.levelname.lower()}:[/{colour}] " if colour else ""
        time_of_day = time.strftime("%H:%M:%S", time.localtime(record.created))
        console.print(f"[dim]{time_of_day}[/dim] {level}{escape(self.format(record))}", soft_wrap=True, highlight=False)


def setup(quiet: bool = False, level: int = logging.INFO, verbose: bool = False) -> None:
    """Send logs through the console that draws the bars.

    ``quiet`` silences bars and everything below warnings; ``verbose`` lets Beam tell what it does.
    """
    _state["quiet"] = quiet
    logging.basicConfig(
        level=logging.WARNING if quiet else level,
        format="%(message)s",
        handlers=[_ConsoleHandler()],
        force=True,
    )
    # What Beam raises it also logs, with pages of its own stack and of the engine's; some of it past its own logger.
    logging.getLogger("apache_beam").setLevel(logging.INFO if verbose else logging.CRITICAL)
    if not verbose:
        logging.getLogger().handlers[0].addFilter(lambda record: "apache_beam" not in Path(record.pathname).parts)
    for noisy in ("absl", "numba", "matplotlib", "PIL", "fsspec"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


def is_quiet() -> bool:
    """Whether ``setup(quiet=True)`` was called."""
    return _state["quiet"]


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("eta"),
        TimeRemainingColumn(),
        console=console,
        disable=_state["quiet"],
        # A log file or CI gets the finished bar once, not a line per refresh.
        auto_refresh=sys.stderr.isatty(),
    )


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield ``items`` while a bar with elapsed time and ETA advances (no bar when quiet)."""
    if total is None and hasattr(items, "__len__"):
        total = len(items)  # type: ignore[arg-type]
    with _bar() as bar:
        task = bar.add_task(description, total=total)
        for item in items:
            yield item
            bar.advance(task)


@contextmanager
def bar(description: str, total: int | None) -> Iterator:
    """A bar advanced by hand: ``with bar("s2l", steps) as advance: advance(1)``."""
    with _bar() as progress:
        task = progress.add_task(description, total=total)

        def advance(n: float = 1, total: float | None = total) -> None:
            progress.update(task, advance=n, total=total)

        yield advance


@contextmanager
def stopwatch() -> Iterator:
    """``with stopwatch() as elapsed_s: ...; elapsed_s()`` gives wall seconds since entry."""
    began = time.perf_counter()
    yield lambda: time.perf_counter() - began
