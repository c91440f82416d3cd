"""Servers of object stores on loopback, with an empty bucket each."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipelines.cluster.parts import store_server
from pipelines.cluster.processes import Processes, free_ports, listens
from pipelines.cluster.store import Store, gs_options, gs_server, server
from space_data.store import Place

LIMIT_S = 60.0


@contextmanager
def served(scheme: str, folder: Path) -> Iterator[Place]:
    """A bucket of the server of ``s3`` or ``gs``, whose log lies in ``folder``; both need Python alone."""
    (port,) = free_ports(1)
    make = {"s3": server, "gs": gs_server}[scheme]
    processes = Processes(folder)
    processes.open(with_parent=True)
    try:
        processes.start(scheme, make(store_server(scheme), port, folder))
        processes.wait_until(scheme, lambda: listens(port), LIMIT_S, lambda: processes.is_running(scheme), scheme)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in Store(port).environment().items():
                patch.setenv(name, value)
            bucket = Place.of(f"{scheme}://bucket{gs_options(port) if scheme == 'gs' else ''}")
            (Store(port).filesystem() if scheme == "s3" else bucket.filesystem).create_dir("bucket")
            yield bucket
    finally:
        processes.close()
