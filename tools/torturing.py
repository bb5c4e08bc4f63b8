"""What tools/torture is made of: the table of faults, checkouts to torment, and how a program ends."""

import json
import os
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path

from published import identity
from writing import write_csv

PROJECT = Path(__file__).resolve().parent.parent
STAGES = ["sample", "vocabulary", "tokenize", "discover", "map", "count", "import", "train", "materialize", "evaluate", "downstream", "report"]
# Not identity, or not yet: compared by other rules.
LOOSE = {"evidence.json", "evidence.csv", "checkpoint.safetensors", "metrics.jsonl"}
HANG = 120


class Table:
    """Faults by kind: injected, survived, lost, and what was lost."""

    def __init__(self):
        self.rows, self.notes, self.began = {}, [], {}

    def add(self, fault, target, problem=None):
        key = (fault, target)
        self.began.setdefault(key, time.monotonic())
        row = self.rows.setdefault(key, [0, 0, 0, 0.0])
        row[0] += 1
        row[2 if problem else 1] += 1
        row[3] = time.monotonic() - self.began[key]
        if problem:
            print(f"LOST  {fault}, {target}: {problem}", flush=True)

    def note(self, text):
        self.notes.append(text)
        print(text, flush=True)

    def lost(self):
        return sum(row[2] for row in self.rows.values())

    def show(self):
        print(f"\n{'fault':<50} {'target':<12} {'injected':>8} {'survived':>8} {'lost':>5}")
        for (fault, target), row in self.rows.items():
            print(f"{fault:<50} {target:<12} {row[0]:>8} {row[1]:>8} {row[2]:>5}")
        sums = [sum(row[i] for row in self.rows.values()) for i in range(3)]
        print(f"{'all':<63} {sums[0]:>8} {sums[1]:>8} {sums[2]:>5}")

    def write(self, path):
        write_csv(path, [["fault", "target", "injected", "survived", "lost"]]
                  + [[*key, *row[:3]] for key, row in self.rows.items()])


class Workplace:
    """A checkout in a directory of its own, with the executables of the build under test."""

    def __init__(self, base, binaries, name):
        self.path, self.binaries = Path(base) / name, binaries
        self.path.mkdir(parents=True)
        for part in ["Makefile", "tools", "pipeline", "data/grammars", "data/texts", "data/corpus"]:
            source = PROJECT / part
            if source.is_dir():
                shutil.copytree(source, self.path / part, symlinks=True)
            elif source.exists():
                shutil.copy2(source, self.path / part)

    def command(self, goal, *more):
        return ["make", f"BIN={self.binaries}", "PRESET=smoke", *goal.split(), *more]

    def make(self, goal, *more, **options):
        return run(self.command(goal, *more), self.path, **options)

    def start(self, goal, *more, environment=None):
        return subprocess.Popen(self.command(goal, *more), cwd=self.path, start_new_session=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, env=clean(environment))

    def stage(self, stage, identity, output, *more, threads=1, **options):
        return run([f"{self.binaries}/ott-{stage}", "--config",
                    f"data/config/{stage}/{identity}.json", "--output", str(output), "--threads",
                    str(threads), "--quiet", *more], self.path, **options)

    def outputs(self):
        """(stage, id) of every finished output."""
        for stage in STAGES:
            for index in sorted((self.path / "data" / stage).glob("*/index.json")):
                yield stage, index.parent.name

    def config(self, stage, identity):
        return json.loads((self.path / "data/config" / stage / f"{identity}.json").read_text())

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)


def clean(more=None):
    """The environment without what a make that runs this would tell the makes that this runs."""
    environment = {key: value for key, value in os.environ.items()
                   if key not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")}
    # As the makefile says it.
    return {**environment, "OPENBLAS_NUM_THREADS": "1", **(more or {})}


def run(command, directory, limits=None, environment=None, timeout=HANG):
    """Status (negative for signals, None for a hang), standard output, standard error."""
    def limit():
        for kind, value in (limits or {}).items():
            resource.setrlimit(kind, (value, value))
    process = subprocess.Popen(command, cwd=directory, env=clean(environment), preexec_fn=limit,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, errors="replace",
                               start_new_session=True)
    try:
        output, errors = process.communicate(timeout=timeout)
        return process.returncode, output, errors
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None, "", "hang"


def content(directory):
    """Relative path → bytes of every visible file, evidence and checkpoints apart."""
    found = {}
    for path in sorted(Path(directory).rglob("*")):
        name = str(path.relative_to(directory))
        if path.is_file() and path.name not in LOOSE - {"metrics.jsonl"} and \
                not any(part.startswith(".") for part in Path(name).parts):
            found[name] = path.read_bytes()
    return found


def results(place):
    return identity(place.path / "results/smoke", place.path / "data/report")


def refusal(status, errors, *names):
    """What is wrong with the end of a program that had to refuse; None when it refused well."""
    if status is None:
        return "hang"
    if status == 0:
        return "accepted"
    if status != 1:
        return f"ended with {status}: {errors[-300:]}"
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    if len(lines) != 1:
        return f"{len(lines)} messages: {errors[-300:]}"
    if names and not any(name in lines[0] for name in names):
        return f"names none of {', '.join(names)}: {lines[0][:300]}"
    return None


def shard_parts(data):
    """The byte classes of a shard (docs/FORMAT.md)."""
    integer = lambda offset, width: int.from_bytes(data[offset:offset + width], "little")
    lengths = 160 + integer(40, 8)
    metadata = lengths + integer(48, 8)
    table = metadata + integer(56, 4)
    return {"header": (0, 160), "frames": (160, lengths), "lengths": (lengths, metadata),
            "metadata": (metadata, table), "table": (table, len(data))}


def weights_parts(data):
    end = 8 + int.from_bytes(data[:8], "little")
    return {"length": (0, 8), "header": (8, end), "tensors": (end, len(data))}


def words(data):
    """The text between the first and the last bracket: white space around it is no content."""
    return {"any byte": (data.index(b"{"), data.rindex(b"}") + 1)}
