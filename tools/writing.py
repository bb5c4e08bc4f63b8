"""Files that appear whole or not at all, for scripts: the rule of Sources/Support/Destination.swift."""

import csv
import io
import os
import stat
from pathlib import Path


def write(path, data):
    """Writes bytes or text to `path`, whose directory is made.

    A regular file, or nothing yet: a new file takes the name when it is whole. A symbolic link stays,
    and what it points to is replaced. A device, pipe or open descriptor is written through.
    """
    data = data.encode() if isinstance(data, str) else data
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        kind = stat.S_IFMT(os.stat(path).st_mode)
    except FileNotFoundError:
        kind = stat.S_IFREG
    target = os.path.realpath(path)
    if kind != stat.S_IFREG or target.startswith("/proc/"):
        # A directory is refused by open.
        with open(path, "ab", buffering=0) as file:
            rest = memoryview(data)
            while rest:
                rest = rest[file.write(rest):]
        return
    folder, name = os.path.split(target)
    temporary = os.path.join(folder, f".{name}.tmp-{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_csv(path, rows):
    """Writes rows of cells, as `write` does."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    write(path, text.getvalue())
