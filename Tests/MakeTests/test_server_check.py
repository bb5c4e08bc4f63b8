"""tools/server-check and what tools/pack-check packs of it, on small sizes."""

import csv
import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

from checkout import BIN, PROJECT


class ServerCheck(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        archive = Path(cls.folder.name) / "server.tar.gz"
        packed = subprocess.run([PROJECT / "tools/pack-check", "server", archive, BIN], capture_output=True, text=True)
        assert packed.returncode == 0, packed.stderr
        subprocess.run(["tar", "xzf", archive, "-C", cls.folder.name], check=True)
        cls.place = Path(cls.folder.name) / "server-check"

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def run_there(self, *words):
        """From another directory, without this project's environment."""
        return subprocess.run([self.place / "run", "--dry", "--threads", "3", *words], capture_output=True, text=True, cwd="/",
                              env={"PATH": os.environ["PATH"]})

    def test_it_runs_where_it_was_unpacked(self):
        result = self.run_there()
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        with open(self.place / "server.csv") as file:
            rows = list(csv.DictReader(file))
        values = {(row["what"], row["precision"], row["threads"]): row["value"] for row in rows}
        for stage in ("ott-sample", "ott-tokenize", "ott-map"):
            self.assertEqual(values[stage, "", "3"], "same")
        self.assertEqual(values["weights after 3 steps", "float32", "1–3"], "same")
        for threads in ("1", "2", "3"):
            self.assertGreater(float(values["products of 1024 × 1024", "float32", threads]), 0)
        for threads in ("1", "3"):
            self.assertGreater(float(values["2 × 64, 16 × 32", "float32", threads]), 0)

    def test_other_bytes_are_a_fault(self):
        path = self.place / "known.json"
        known = path.read_text()
        try:
            path.write_text(json.dumps(dict(json.loads(known), tokenize="0" * 64)))
            result = self.run_there()
        finally:
            path.write_text(known)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stdout.splitlines()[-1], "tokenize: other bytes than are known")

    def test_a_program_that_fails_is_named(self):
        result = subprocess.run([PROJECT / "tools/server-check", "--bin", "/nowhere", "--dry", "--output",
                                 self.place / "none.csv"], capture_output=True, text=True)
        self.assertEqual(result.returncode, 1)
        self.assertIn("/nowhere/ott-bench", result.stderr)
        self.assertEqual(len(result.stderr.splitlines()), 1)

    def test_it_packs_nothing_else(self):
        result = subprocess.run([PROJECT / "tools/pack-check", "laptop", "x.tar.gz"], capture_output=True, text=True)
        self.assertEqual(result.returncode, 2)
        self.assertEqual(result.stderr, "tools/pack-check: expected device or server, found 'laptop'\n")


if __name__ == "__main__":
    unittest.main()
