"""What must be on the disk, and not only on its way there, before something else relies on it."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Have the system write a file, or a folder's list of names, to disk: a rename must not come before the content.

    Raises:
        OSError: the disk is full or broken, which a write that is only on its way doesn't tell.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
