"""Where training runs: the processes and devices behind one Lightning Fabric."""

import os
from functools import cache

import torch
from lightning_fabric import Fabric
from torch.distributed import is_torchelastic_launched

from space_data.errors import SpaceError


def launch(device: str, devices: int, precision: str, threads: int = 1) -> Fabric:
    """The Fabric of this run, with its other processes started; call it before any data are read.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``.
        devices: processes on this machine. Fabric starts the others itself, by running this program's command line again; under
            ``torchrun`` all are there already, and its number counts.
        precision: ``32-true``, ``bf16-mixed`` or ``16-mixed``.
        threads: of torch's on the CPU, over all processes of this machine. Another number may change the last bits of a result.

    Raises:
        SpaceError: GPUs, or a precision that only they have, are asked for and not there.
    """
    nodes = 1
    if is_torchelastic_launched():  # torchrun says by these variables what it has started
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // devices
    gpus = 0 if device == "cpu" else torch.cuda.device_count()
    if gpus < devices and (gpus or device == "cuda"):
        raise SpaceError(f"training.device {device}, {devices} processes: {gpus} GPUs here, need one each (or set device: cpu)")
    if precision == "16-mixed" and not gpus:
        raise SpaceError("training.precision 16-mixed: no GPU to run on, need one (or bf16-mixed, 32-true)")
    torch.set_num_threads(max(1, threads // devices))
    if devices * nodes == 1:
        return _launched(device, 1, 1, "auto", precision)
    return _of_ranks(device, devices, nodes, precision)


@cache
def _of_ranks(device: str, devices: int, nodes: int, precision: str) -> Fabric:
    """Once per process, however many models it trains: a second launch would start the other processes a second time."""
    return _launched(device, devices, nodes, "ddp", precision)


def _launched(device: str, devices: int, nodes: int, strategy: str, precision: str) -> Fabric:
    fabric = Fabric(accelerator=device, devices=devices, num_nodes=nodes, strategy=strategy, precision=precision)  # type: ignore[arg-type]
    fabric.launch()
    return fabric
