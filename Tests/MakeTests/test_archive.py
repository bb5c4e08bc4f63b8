"""A pack has what the figure is made by, whether git knows it already or not, and nothing that stages made."""

import tarfile
import unittest

from checkout import BIN, Checkout

FIGURE = "mine"


class Archive(unittest.TestCase):
    def setUp(self):
        self.place = Checkout()
        self.addCleanup(self.place.remove)
        self.place.write("Packages/Package/Package.swift", "")
        self.place.write(".gitignore", "/data/*/\n!/data/grammars\n!/data/texts\n/archive\n*.ignored\n")
        self.place.write("scratch.ignored", "")

    def members(self):
        self.assertEqual(self.place.make("new", f"FIGURE={FIGURE}").returncode, 0)
        self.place.finish(FIGURE)
        for stage in ["discover", "materialize"]:
            self.place.write(f"data/{stage}/0123456789ab/index.json", "{}")
        packed = self.place.run("tools/archive", "--bin", BIN, f"--figure={FIGURE}", "--preset=tiny")
        self.assertEqual(packed.returncode, 0, packed.stderr)
        with tarfile.open(self.place.path / f"archive/{FIGURE}-tiny.tar.gz") as tar:
            return {name.partition("/")[2] for name in tar.getnames()}

    def check(self, members):
        self.assertLessEqual(
            {f"pipeline/{FIGURE}.yaml", f"pipeline/{FIGURE}.csv", "Makefile", "tools/archive", "pipeline/presets/tiny.yaml",
             "data/grammars/cfg3f.grammar", f"results/tiny/{FIGURE}.json"}, members)
        self.assertEqual([name for name in members if name.startswith(
            ("data/train", "data/discover", "data/materialize", "data/config", "data/plan", ".git/"))], [])

    def test_of_a_checkout(self):
        for command in [["init", "--quiet"], ["add", "--all"],
                        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message=all"]]:
            self.assertEqual(self.place.run("git", *command).returncode, 0)
        members = self.members()
        self.check(members)
        self.assertNotIn("scratch.ignored", members)

    def test_of_an_unpacked_archive(self):
        self.check(self.members())
