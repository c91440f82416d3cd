"""Room for results on their way into a pack, and the removal of what a run that was killed left in an output folder."""

import os
import shutil
from pathlib import Path

from space_data.files import own_folder, own_folder_name, remove_dead
from space_data.store import Place

HALF_WRITTEN = ".*.part"
"""Names of files that ``Place.put`` had not yet given their own."""


def scratch_root(cache: Place) -> Path:
    """Where the runs of a stage have their scratch folders: in the stage's cache, or on this machine if that is in a bucket."""
    return Path(os.environ.get("TMPDIR", "/tmp")) / "space-scratch" if cache.is_remote else cache.local() / "scratch"


def scratch_of(cache: Place) -> Path:
    """The scratch folder of this process; those of dead processes of this machine are removed."""
    return own_folder(scratch_root(cache))


def remove_scratch(cache: Place) -> None:
    """Remove this process's scratch folder."""
    shutil.rmtree(own_folder_name(scratch_root(cache)), ignore_errors=True)


def remove_remains(cache: Place, folder: Place) -> None:
    """Remove what killed runs of a stage left: scratch, notes, half-written files. Only whoever holds the folder's lock may.

    Args:
        cache: the stage's.
        folder: of the stage's tables. A bucket has no half-written objects.
    """
    remove_dead(scratch_root(cache))
    for note in (cache / "runs").files(below=True):
        note.delete()
    for root in (place.local() for place in (cache, folder) if not place.is_remote):
        for file in root.rglob(HALF_WRITTEN):
            file.unlink(missing_ok=True)
