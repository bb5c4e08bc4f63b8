"""Programs that may have been built elsewhere, with the libraries that they need beside them."""

import os
from pathlib import Path


def environment(directory, **more):
    """This process's environment, and `lib` in the programs' directory where libraries are looked for first."""
    result = dict(os.environ, **more)
    lib = Path(directory).resolve() / "lib"
    if lib.is_dir():
        result["LD_LIBRARY_PATH"] = os.pathsep.join([str(lib), os.environ.get("LD_LIBRARY_PATH", "")]).rstrip(os.pathsep)
    return result
