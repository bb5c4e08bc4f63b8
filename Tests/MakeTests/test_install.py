"""`make install` leaves programs, completions and manual pages; `make uninstall` takes these and no others."""

import os
import subprocess
import unittest

from checkout import BIN, PROJECT, Checkout

MANUAL = (PROJECT / os.environ.get("MANUAL", ".build/release/generate-manual")).resolve()


class Install(unittest.TestCase):
    def setUp(self):
        self.place = Checkout()
        self.addCleanup(self.place.remove)
        self.prefix = self.place.base / "prefix with 'quotes' $HOME"

    def make(self, goal, *more):
        return self.place.make(goal, f"PREFIX={self.prefix}", f"MANUAL={MANUAL}", *more)

    def installed(self):
        return sorted(str(path.relative_to(self.prefix)) for path in self.prefix.rglob("*") if not path.is_dir())

    def test_installs_what_uninstall_removes(self):
        kept = self.prefix / "bin/ott-mine"
        kept.parent.mkdir(parents=True)
        kept.write_text("mine")
        result = self.make("install")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(f"export PATH={self.prefix}/bin", result.stdout)
        files = self.installed()
        names = sorted(path.name for path in BIN.glob("ott-*") if path.is_file() and "." not in path.name)
        self.assertGreaterEqual(len(names), 14)
        for name in names:
            for place in [f"bin/{name}", f"lib/overtoken/{name}", f"share/man/man1/{name}.1",
                          f"share/bash-completion/completions/{name}", f"share/zsh/site-functions/_{name}",
                          f"share/fish/vendor_completions.d/{name}.fish"]:
                self.assertIn(place, files)
                self.assertGreater((self.prefix / place).stat().st_size, 100, place)
        # A program by its name, as a shell finds it; it knows of which code it is as it did before.
        version = subprocess.run([self.prefix / "bin/ott-train", "--version"], capture_output=True, text=True)
        self.assertIn("ott-train", version.stdout)
        self.assertEqual((self.prefix / "lib/overtoken/code-version").read_text(), (BIN / "code-version").read_text())
        # Bash reads every completion without a complaint.
        script = 'for f in "$1"/share/bash-completion/completions/*; do source "$f"; done; complete -p ott-train'
        done = subprocess.run(["bash", "-euc", script, "bash", self.prefix], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        # Once more changes nothing.
        self.assertEqual(self.make("install").returncode, 0)
        self.assertEqual(self.installed(), files)
        removed = self.make("uninstall")
        self.assertEqual(removed.returncode, 0, removed.stderr)
        self.assertEqual(self.installed(), ["bin/ott-mine"])
        self.assertEqual([path.name for path in self.prefix.iterdir()], ["bin"])

    def test_programs_that_are_gone_are_removed(self):
        self.assertEqual(self.make("install").returncode, 0)
        listed = self.prefix / "share/overtoken/installed"
        listed.write_text(listed.read_text() + "bin/ott-former\n")
        (self.prefix / "bin/ott-former").write_text("")
        self.assertEqual(self.make("install").returncode, 0)
        self.assertNotIn("bin/ott-former", self.installed())

    def test_refused(self):
        for goal, prefix, words in [("uninstall", self.prefix, "expected an installation"),
                                    ("install", "here", "absolute path, found 'here'"),
                                    ("uninstall", "", "absolute path, found ''"),
                                    ("install", "/proc/here", "not writable")]:
            with self.subTest(goal, prefix=prefix):
                result = self.place.make(goal, f"PREFIX={prefix}", f"MANUAL={MANUAL}")
                self.assertEqual(result.returncode, 2)
                self.assertIn("error: ", result.stderr)
                self.assertIn(words, result.stderr)


class New(unittest.TestCase):
    def setUp(self):
        self.place = Checkout()
        self.addCleanup(self.place.remove)

    def test_every_figure_can_be_begun_from(self):
        """The new file is understood, and asks for the same runs until it is changed."""
        sources = sorted(path.stem for path in (PROJECT / "pipeline").glob("*.yaml") if path.stem != "defaults")
        for number, source in enumerate(sources):
            with self.subTest(source):
                done = self.place.make("new", f"FIGURE=mine-{number}", f"FROM={source}")
                self.assertEqual(done.returncode, 0, done.stderr)
                text = (self.place.path / f"pipeline/mine-{number}.yaml").read_text()
                self.assertIn(
                    "# The figure that this one is," if "\nlike:" in text else "# One more, to change and uncomment.", text)
        for source in ["figure2", "figure7a", "figure9", "table3-mean"]:
            with self.subTest(source):
                preset = [] if source in ["figure2", "figure7a"] else ["PRESET=smoke"]
                mine, theirs = (
                    self.place.would_run(name, *preset) for name in [f"mine-{sources.index(source)}", source])
                self.assertEqual(mine, theirs)
                self.assertGreater(len(mine), 3)

    def test_a_source_that_is_no_figure_is_refused(self):
        for text, words in [
                ("like: tabel3\ntitle: t\n", "pipeline/odd.yaml: like: expected a figure, found 'tabel3'"),
                ("title: t\n", "pipeline/odd.yaml: kind: expected one of grammar, text, found no such key")]:
            with self.subTest(words):
                self.place.write("pipeline/odd.yaml", text)
                done = self.place.make("new", "FIGURE=mine", "FROM=odd")
                self.assertNotEqual(done.returncode, 0)
                self.assertIn("error: " + words, done.stderr)
                self.assertFalse((self.place.path / "pipeline/mine.yaml").exists())

    def test_a_variant_that_is_uncommented_is_planned(self):
        self.assertEqual(self.place.make("new", "FIGURE=mine").returncode, 0)
        before = len(self.place.would_run("mine"))
        self.place.replace("pipeline/mine.yaml", "  # - {name: my variant", "  - {name: my variant")
        self.place.replace("pipeline/mine.yaml", "variants: [1-gram, 3-gram tokenizer]",
                           "variants: [1-gram, 3-gram tokenizer, my variant]")
        claims = self.place.path / "pipeline/mine.csv"
        claims.write_text(claims.read_text() + "mine.left,my variant 85M vs 1-gram 85M,qualitative,better\n")
        self.assertGreater(len(self.place.would_run("mine")), before)

    def test_refused(self):
        for arguments, words in [
                (["FIGURE=test"], "make has no target of, found 'test'"), (["FIGURE=paper"], "found 'paper'"),
                (["FIGURE=scone"], "found 'scone'"), (["FIGURE=defaults"], "found 'defaults'"),
                (["FIGURE=../x"], "found '../x'"), (["FIGURE=-x"], "found '-x'"), ([], "is there already"),
                (["FIGURE=x", "FROM=figure3"], "found 'figure3'"), (["FIGURE=x", "FROM=defaults"], "found 'defaults'"),
                (["FIGURE=x", "FROM=../data"], "found '../data'")]:
            with self.subTest(arguments):
                before = self.place.files()
                result = self.place.make("new", *arguments)
                self.assertEqual(result.returncode, 2, result.stdout)
                self.assertEqual(len([line for line in result.stderr.splitlines() if line.startswith("error: ")]), 1)
                self.assertIn(words, result.stderr)
                self.assertEqual(self.place.files(), before)
