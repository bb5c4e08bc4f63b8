"""What tools/torture-ranks trains: a made-up text, mapped to n-gram ids, and small models of every trunk,
with tables and without, in both precisions."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
END = "<|endoftext|>"
# Trunk, and whether it has over-encoding's tables.
MODELS = [("gpt2", False), ("olmo2", False), ("olmoe", False), ("gpt2", True), ("olmo2", True)]
EXPERTS = {"experts": 4, "topK": 2, "ropeTheta": 1e4, "normEpsilon": 1e-5, "expertWidth": 16,
           "normalizeTopK": False, "balanceLoss": 0.01, "zLoss": 0.001}


def model_name(trunk, tables, precision):
    return f"{trunk}{' with tables' if tables else ''}, {precision}"


class Place:
    """A directory with data, configurations and runs."""

    def __init__(self, base, binaries):
        self.base, self.bin = Path(base), Path(binaries).resolve()
        text = [{"text": f"The {i % 7} cats sat on {i} mats, don't they? " + "again and " * (i % 4 * i)}
                for i in range(60)]
        self.corpus = self.base / "corpus.jsonl"
        self.corpus.write_text("".join(json.dumps(line) + "\n" for line in text))
        self.program("ott-tokenize", "train", "--vocabulary", 300, "--special", END, "--output", "tokenizer",
                     self.corpus)
        tokens = self.program(
            "ott-tokenize", "configure", "--tokenizer", "tokenizer/tokenizer.json", "--shard-bytes", 1500,
            "--output", "config", "--validation", 0, "--end-of-text", END, self.corpus).strip()
        self.program("ott-tokenize", "--config", f"config/{tokens}.json", "--output", "tokens", "--quiet")
        digest = hashlib.sha256((self.base / "tokenizer/tokenizer.json").read_bytes()).hexdigest()
        self.write("map", "map", {"kind": "text", "content": "ngramIDs", "order": 3, "documentsPerShard": 13},
                   {"tokens": {"id": tokens, "path": "tokens"},
                    "tokenizer": {"id": digest[:12], "path": "tokenizer/tokenizer.json"}})
        self.program("ott-map", "--config", "map.json", "--output", "map", "--quiet")
        self.data = json.loads((self.base / "map/index.json").read_text())["id"]

    def program(self, name, *arguments):
        done = subprocess.run([str(self.bin / name), *map(str, arguments)], cwd=self.base,
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"error: {name}: {done.stderr.strip()}")
        return done.stdout

    def write(self, name, stage, parameters, inputs):
        (self.base / f"{name}.json").write_text(json.dumps(
            {"stage": stage, "version": 1, "parameters": parameters, "inputs": inputs}))

    def write_run(self, name, trunk, tables, precision, epochs, checkpoints):
        """Writes name.json, the configuration of a run."""
        model = {"architecture": trunk, "layers": 1, "width": 32, "heads": 2, "context": 24, "tied": False}
        optimizer = {"name": "adamw", "learningRate": 0.005, "beta1": 0.9, "beta2": 0.98, "epsilon": 1e-8,
                     "weightDecay": 0.1, "clipNorm": 1.0}
        if trunk == "olmoe":
            model |= EXPERTS
        if tables:
            model["overEncoding"] = {"order": 3, "slices": 2, "rows": 701}
            optimizer["tables"] = {"moments": "float32", "weightDecay": 0.05, "learningRateMultiplier": 2}
        self.write(name, "train", {
            "kind": "text", "model": model, "optimizer": optimizer,
            "schedule": {"kind": "cosine", "warmupSteps": 1, "finalFraction": 0.1},
            "training": {"batchSequences": 16, "lanes": 8, "epochs": epochs,
                         "checkpointEverySteps": checkpoints, "logEverySteps": 2, "precision": precision},
            "snapshots": {"count": 2, "spacing": "linear", "initial": False}, "seed": 1, "dataSeed": 2,
        }, {"data": {"id": self.data, "path": "map"}})

    # MARK: Runs

    def start(self, config, output, ranks=1, mpi=None, threads=1, *more):
        """Starts a training, on ranks of an MPI or alone."""
        command = [str(self.bin / "ott-train"), "--config", f"{config}.json", "--output", output,
                   "--threads", str(threads), "--quiet", *map(str, more)]
        environment = dict(os.environ)
        if mpi:
            command = [str(PROJECT / "tools/ranks"), str(ranks), *command]
            environment["MPIRUN"] = f"mpirun.{mpi}"
        return subprocess.Popen(command, cwd=self.base, env=environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self, process, limit=300):
        """Exit status, and what it said on both streams; a status of None for a hang."""
        try:
            output, errors = process.communicate(timeout=limit)
            return process.returncode, output + errors
        except subprocess.TimeoutExpired:
            for rank in self.ranks(None).values():
                os.kill(rank, signal.SIGKILL)
            process.kill()
            return None, "".join(process.communicate())

    def train(self, *arguments):
        status, words = self.finish(self.start(*arguments))
        return None if status == 0 else f"status {status}: {words[-300:]}"

    def ranks(self, output):
        """The processes of a run of this place, by rank; of all runs without a name."""
        found = {}
        for process in Path("/proc").iterdir():
            try:
                if os.readlink(process / "cwd") != str(self.base.resolve()):
                    continue
                words = (process / "cmdline").read_text().split("\0")
                if Path(words[0]).name != "ott-train" or output not in (None, *words):
                    continue
                for variable in (process / "environ").read_text().split("\0"):
                    name, _, value = variable.partition("=")
                    if name in ("OMPI_COMM_WORLD_RANK", "PMI_RANK"):
                        found[int(value)] = int(process.name)
            except (OSError, ValueError):
                continue
        return found

    def content(self, output):
        """Name → bytes of what a run is."""
        return {path.name: path.read_bytes() for path in (self.base / output).iterdir()
                if path.name != "evidence.json"}

    def remove(self, output):
        shutil.rmtree(self.base / output, ignore_errors=True)


def installed(binaries):
    """Names of the MPIs that there are."""
    return [name for name in ("openmpi", "mpich")
            if (Path(binaries) / "mpi" / f"{name}.so").exists() and shutil.which(f"mpirun.{name}")]


def wait_for(condition, process, limit=120):
    """Waits until something is so; whether the process still runs then."""
    began = time.monotonic()
    while process.poll() is None and not condition() and time.monotonic() - began < limit:
        time.sleep(0.002)
    return process.poll() is None
