"""What kind of machine this is: sums differ in their last bits between families of CPUs, whose libraries take other paths."""

import platform
from functools import cache
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
FIELDS = (("vendor_id", "CPU implementer"), ("cpu family", "CPU architecture"), ("model", "CPU part"))
"""Vendor, family and model as Linux names them, on x86 and on ARM."""


def cpu_of(cpuinfo: str) -> str:
    """Vendor, family and model of the first CPU in a text like that of ``/proc/cpuinfo``; empty if it names none of them."""
    facts: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        facts.setdefault(name.strip(), value.strip())
    found = [next((facts[name] for name in names if name in facts), "") for names in FIELDS]
    return " ".join(value for value in found if value)


@cache
def machine() -> str:
    """Architecture and CPU family of the machine that this process runs on, e.g. ``x86_64 GenuineIntel 6 207``."""
    cpu = cpu_of(CPUINFO.read_text()) if CPUINFO.is_file() else platform.processor()
    return f"{platform.machine()} {cpu}".strip()
