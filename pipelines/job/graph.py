"""The Beam side of ``job.run_units``: its own module because importing Beam takes seconds, and a cached run needs none of it."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from pipelines.job.pool import Answer, FunctionName, IsolatedPool

on_unit_done: list[Callable[[Any], None]] = []
"""Called with the future of each unit when it is done, in the process that draws the bar; empty in Beam workers elsewhere."""


class RunUnits(beam.DoFn):
    """Hands a bundle's units to a pool of isolated processes and waits for them at the bundle's end.

    The pool, not the runner, balances the load: the local runner splits elements among its workers beforehand, and one long
    clip would keep a core busy while the other idles. On a cluster each Beam worker has such a pool.
    """

    def __init__(self, serve: FunctionName, to_line: Callable[[Any, Answer], str], workers: int, limit_s: float) -> None:
        self._serve, self._to_line, self._workers, self._limit_s = serve, to_line, workers, limit_s

    def setup(self) -> None:
        """Make the pool; its processes start with the first unit."""
        self._pool = IsolatedPool(self._serve, self._workers, self._limit_s)

    def start_bundle(self) -> None:
        """Nothing is under way yet."""
        self._pending: list[tuple[Any, Future[Answer]]] = []

    def process(self, task: Any) -> None:
        """Queue one unit."""
        future = self._pool.submit(task)
        for callback in on_unit_done:
            future.add_done_callback(callback)
        self._pending.append((task, future))

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """One line of JSON per unit."""
        for task, future in self._pending:
            yield WindowedValue(self._to_line(task, future.result()), 0, (GlobalWindow(),))

    def teardown(self) -> None:
        """End the processes."""
        self._pool.close()


def run(tasks: Sequence[Any], fn: RunUnits, options: Sequence[str], lines: Path) -> None:
    """Create -> Reshuffle -> ParDo -> the lines, as text files ``lines*``.

    ``options`` name the runner. Locally that is ``FnApiRunner``: ``DirectRunner`` is a switch that first tries to download
    another runner.

    Raises:
        KeyboardInterrupt: Ctrl-C, which Beam would turn into a ``RuntimeError`` with pages of its own stack.
    """
    try:
        with beam.Pipeline(options=PipelineOptions(list(options))) as pipeline:
            (
                pipeline
                | "Units" >> beam.Create(tasks)
                | "Spread" >> beam.Reshuffle()
                | "Run" >> beam.ParDo(fn)
                | "Write" >> beam.io.WriteToText(str(lines))
            )
    except RuntimeError as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            cause = cause.__cause__ or cause.__context__
        raise
