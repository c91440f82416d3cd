"""``space cluster``: start, look at and end a cluster on this machine."""

import json
import shlex
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from space_data import progress

app = typer.Typer(help="A cluster on this machine: Flink or Spark, Beam's job server and an S3 server.", no_args_is_help=True)


class Kind(StrEnum):
    """Engines that Beam's jobs can be sent to."""

    flink = "flink"
    spark = "spark"


Run = Annotated[
    Path | None, typer.Option("--run", help="Folder of its logs, ids and working directories (default: in the user's cache).")
]


def _run_folder(run: Path | None) -> Path:
    from pipelines.cluster.parts import default_folder

    return run or default_folder() / "run"


@app.command(epilog="Needs Java 17 and Maven; the first start fetches some 500 MB: docs/scale.md says what.")
def up(
    kind: Annotated[Kind, typer.Option(help="The engine.")] = Kind.flink,
    task_managers: Annotated[int, typer.Option(min=1, help="Task managers (Spark: workers), each with a folder of its own.")] = 2,
    slots: Annotated[int, typer.Option(min=1, help="Elements that each of them works on at a time.")] = 1,
    parts: Annotated[Path | None, typer.Option(help="Where the fetched parts are kept (default: the user's cache).")] = None,
    run: Run = None,
) -> None:
    """Start a cluster on free ports of loopback and print what a job needs to run on it; `space cluster down` ends it."""
    progress.setup()
    from pipelines.cluster.local import LocalCluster

    began_s = time.monotonic()
    folder = _run_folder(run)
    cluster = LocalCluster(kind.value, task_managers, slots, folder, parts)
    cluster.start(with_parent=False)
    typer.echo(f"{kind.value} is up after {time.monotonic() - began_s:.0f} s: {cluster.web_page}   logs: {folder / 'logs'}")
    options = cluster.beam_options()
    typer.echo(f"options of a Beam job:  {shlex.join(options)}")
    typer.echo(f"to curate on it:  space data curate DIR --out OUT --set {shlex.quote(f'job.beam={json.dumps(options)}')}")
    for name, value in cluster.store.environment().items():
        typer.echo(f"export {name}={shlex.quote(value)}")


@app.command()
def down(run: Run = None) -> None:
    """End the cluster: every process that it started, and every process that those started."""
    from pipelines.cluster.processes import Processes

    processes = Processes(_run_folder(run).resolve())
    running = len(processes.survivors())
    processes.close()
    typer.echo(f"ended {running} processes" if running else "no cluster was running")


@app.command(epilog="Exit status 0: everything runs; 1: a process has ended; 2: no cluster runs.")
def status(run: Run = None) -> None:
    """Say what runs, and where the engine's page and the logs are."""
    from pipelines.cluster.local import LocalCluster

    cluster = LocalCluster.attach(_run_folder(run))
    statuses = cluster.processes.statuses()
    for process in statuses:
        state = "runs" if process.running else f"ended with status {process.exit_status}"
        typer.echo(f"{process.name:<16} {process.pid:>8}  {state:<24} {process.log}")
    typer.echo(f"{cluster.kind}: {cluster.registered()} task managers at work; {cluster.web_page}; S3: {cluster.store.endpoint}")
    if not all(process.running for process in statuses):
        raise typer.Exit(1)
