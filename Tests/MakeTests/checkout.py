"""A checkout that tests of make may change: makefile, settings, grammars and texts, with the built
executables, or with a `swift` that only says that it was called.

    BIN=.build/release python3 -m unittest discover --start-directory Tests/MakeTests
"""

import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
BIN = (PROJECT / os.environ.get("BIN", ".build/release")).resolve()

# Settings of seconds, and the same with another schedule; most tests only ask what make would run.
PRESET = (PROJECT / "pipeline/presets/smoke.yaml").read_text().replace("seeds: [1, 2]", "seeds: [1]")
CHANGED = PRESET.replace("warmupSteps: 5", "warmupSteps: 6")
assert "seeds: [1]" in PRESET and CHANGED != PRESET
PLACE = "pipeline/presets/tiny.yaml"
LONG_AGO = 1_000_000_000
FAR_OFF = 4_000_000_000


class Checkout:
    """A directory of its own; removed by `remove`."""

    def __init__(self, name="checkout"):
        self.base = Path(tempfile.mkdtemp(prefix="make-tests-"))
        self.base.chmod(0o755)
        self.path = self.base / name
        self.path.mkdir()
        shutil.copy2(PROJECT / "Makefile", self.path)
        for part in ["tools", "pipeline", "data/grammars", "data/texts"]:
            shutil.copytree(PROJECT / part, self.path / part)
        self.write(PLACE, PRESET)

    def remove(self):
        shutil.rmtree(self.base, ignore_errors=True)

    # MARK: Files

    def write(self, path, text, time=None):
        place = self.path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        if time is not None:
            os.utime(place, (time, time))

    def replace(self, path, old, new, time=None):
        text = (self.path / path).read_text()
        assert old in text, f"{path} has no {old}"
        self.write(path, text.replace(old, new), time)

    def files(self):
        """Path → (bytes, modification time) of everything."""
        return {str(path.relative_to(self.path)): (path.read_bytes(), path.stat().st_mtime_ns)
                for path in self.path.rglob("*") if path.is_file()}

    # MARK: Programs

    def run(self, *command, timeout=60, environment=None, user=None):
        kept = {key: value for key, value in os.environ.items()
                if key not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "BIN")}
        return subprocess.run(
            [str(word) for word in command], cwd=self.path, env={**kept, **(environment or {})},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=timeout, user=user, extra_groups=None if user is None else [])

    def make(self, *goals, **options):
        return self.run("make", f"BIN={options.pop('bin', BIN)}", "PRESET=tiny", *goals, **options)

    def would_run(self, figure="figure2", *more, **options):
        """Names of the stages that make would run now, one for each run, in alphabetic order."""
        result = self.make("-n", figure, *more, **options)
        assert result.returncode == 0, result.stderr
        return sorted(re.findall(r"/ott-([a-z]+) --config", result.stdout))

    def plan_says(self, figure="figure2", *more):
        """How many stages `make plan` calls stale."""
        result = self.make("plan", f"FIGURE={figure}", *more)
        assert result.returncode == 0, result.stderr
        if "Nothing to run" in result.stdout:
            return 0
        return int(re.search(r"To run: (\d+) of", result.stdout).group(1))

    # MARK: Outputs

    def outputs(self, figure="figure2", preset="tiny"):
        """Directories that the rules name."""
        rules = (self.path / f"data/plan/{preset}/{figure}.mk").read_text()
        return re.findall(r"^(data/[a-z]+/[0-9a-f]{12})/index.json:", rules, re.MULTILINE)

    def finish(self, figure="figure2", preset="tiny"):
        """Makes every output look finished, and publishes the report: make looks at names and bytes of
        what is published, and the stages are tested elsewhere."""
        planned = self.make("-n", figure, f"PRESET={preset}")
        assert planned.returncode == 0, planned.stderr
        for output in self.outputs(figure, preset):
            (self.path / output).mkdir(parents=True, exist_ok=True)
            self.write(f"{output}/index.json", "{}")
            if output.startswith("data/report/"):
                endings = ["csv", "json", "svg"]
                for ending in endings:
                    self.write(f"{output}/{figure}.{ending}", ending)
                self.write(f"{output}/evidence.json", "{}")
                done = self.run("tools/publish", output, f"results/{preset}", figure, *endings)
                assert done.returncode == 0, done.stderr


class Case(unittest.TestCase):
    """Tests that start from a checkout where figure2 is finished."""

    figure = "figure2"

    def setUp(self):
        self.place = Checkout()
        self.addCleanup(self.place.remove)
        self.place.finish(self.figure)
        self.assertEqual(self.place.would_run(self.figure), [])

    def assert_stale(self, *stages, **options):
        """Make would run these stages, each at least once and no others, and `make plan` agrees."""
        would = self.place.would_run(self.figure, **options)
        self.assertEqual(sorted(set(would)), sorted(stages))
        self.assertEqual(len(would), self.place.plan_says(self.figure))

    def assert_current(self):
        result = self.place.make(self.figure)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(f"Nothing to be done for '{self.figure}'", result.stdout)
        self.assertEqual(self.place.plan_says(self.figure), 0)

    def assert_refused(self, result, *words, messages=1):
        """One message of a program that holds `words`, make's own line below it, and nothing run."""
        self.assertEqual(result.returncode, 2, result.stdout + result.stderr)
        self.assertNotIn("--config", result.stdout)
        said = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        self.assertEqual(len(said), messages, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)
