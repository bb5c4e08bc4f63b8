"""What is stale is decided by content: no date, no name and no leftover changes the answer, and make
and `make plan` give the same one."""

import os
import shutil
import subprocess
import unittest

from checkout import BIN, CHANGED, FAR_OFF, LONG_AGO, PLACE, PRESET, Case, Checkout


class Settings(Case):
    def test_a_change_and_the_way_back(self):
        self.place.write(PLACE, CHANGED)
        self.assert_stale("train", "evaluate", "report")
        self.place.write(PLACE, PRESET)
        self.assert_current()

    def test_a_file_put_back_with_an_older_time(self):
        old = self.place.base / "kept.yaml"
        old.write_text(CHANGED)
        os.utime(old, (LONG_AGO, LONG_AGO))
        target = self.place.path / PLACE
        archive = self.place.base / "kept.tar"
        (self.place.base / "tree/pipeline/presets").mkdir(parents=True)
        shutil.copy2(old, self.place.base / "tree" / PLACE)
        subprocess.run(["tar", "-cf", archive, "-C", self.place.base / "tree", "."], check=True)
        for way in [["cp", "-p", old, target], ["tar", "-xf", archive, "-C", self.place.path],
                    ["mv", old, target]]:
            with self.subTest(way[0]):
                subprocess.run(way, check=True)
                self.assertEqual(target.stat().st_mtime, LONG_AGO)
                self.assert_stale("train", "evaluate", "report")
                self.place.write(PLACE, PRESET)
                self.assert_current()

    def test_equal_size_and_equal_time(self):
        before = (self.place.path / PLACE).stat()
        self.place.write(PLACE, CHANGED)
        os.utime(self.place.path / PLACE, ns=(before.st_atime_ns, before.st_mtime_ns))
        self.assert_stale("train", "evaluate", "report")

    def test_other_times_of_the_same_bytes(self):
        for time in [LONG_AGO, FAR_OFF, None]:
            for folder in ["pipeline", "data", "tools", "results"]:
                for path in (self.place.path / folder).rglob("*"):
                    os.utime(path, None if time is None else (time, time))
            os.utime(self.place.path / "Makefile", None if time is None else (time, time))
            with self.subTest(time=time):
                self.assert_current()

    def test_a_clock_that_was_set_back(self):
        """Outputs and rules of tomorrow, a change of today."""
        for path in (self.place.path / "data").rglob("*"):
            os.utime(path, (FAR_OFF, FAR_OFF))
        self.place.write(PLACE, CHANGED)
        self.assert_stale("train", "evaluate", "report")

    def test_a_file_of_the_future_is_read_once(self):
        self.place.write(PLACE, CHANGED, FAR_OFF)
        self.assert_stale("train", "evaluate", "report")
        self.place.write(PLACE, PRESET, FAR_OFF)
        self.assert_current()

    def test_links(self):
        kept = self.place.base / "elsewhere"
        kept.mkdir()
        (kept / "tiny.yaml").write_text(PRESET)
        target = self.place.path / PLACE
        target.unlink()
        target.symlink_to(kept / "tiny.yaml")
        self.assert_current()
        (kept / "tiny.yaml").write_text(CHANGED)
        os.utime(kept / "tiny.yaml", (LONG_AGO, LONG_AGO))
        self.assert_stale("train", "evaluate", "report")
        # A folder that is a link.
        shutil.move(self.place.path / "pipeline/presets", self.place.base / "presets")
        (self.place.path / "pipeline/presets").symlink_to(self.place.base / "presets")
        self.assert_stale("train", "evaluate", "report")
        target.unlink()
        self.place.write(PLACE, PRESET)
        self.assert_current()

    def test_grammars_parts_and_scripts(self):
        for path, stages in [
                ("data/grammars/cfg3f.grammar",
                 ["sample", "tokenize", "map", "train", "evaluate", "report"]),
                ("pipeline/figure2.gnuplot", ["report"]),
                ("pipeline/optimizer/adamw-cosine.yaml", ["train", "evaluate", "report"])]:
            with self.subTest(path):
                kept = (self.place.path / path).read_text()
                changed = kept.replace("weightDecay: ", "weightDecay: 1") \
                    if path.endswith(".yaml") else kept + "# changed\n"
                self.place.write(path, changed, LONG_AGO)
                if changed != kept:
                    self.assert_stale(*stages)
                self.place.write(path, kept)
                self.assert_current()


class Missing(Case):
    def test_removed_settings(self):
        for path, word in [(PLACE, "preset 'tiny': expected one of"),
                           ("pipeline/model/gpt2-4x16.yaml", "gpt2-4x16"),
                           ("pipeline/defaults.yaml", "pipeline/defaults.yaml"),
                           ("pipeline/figure2.gnuplot", "figure2.gnuplot"),
                           ("data/grammars/cfg3f.grammar", "cfg3f.grammar")]:
            with self.subTest(path):
                kept = (self.place.path / path).read_text()
                (self.place.path / path).unlink()
                self.assert_refused(self.place.make("figure2"), word)
                self.assert_refused(self.place.make("-n", "figure2"), word)
                self.place.write(path, kept)
                self.assert_current()

    def test_a_removed_figure(self):
        (self.place.path / "pipeline/figure2.yaml").unlink()
        result = self.place.make("figure2")
        self.assertEqual(result.returncode, 2)
        self.assertIn("No rule to make target 'figure2'", result.stderr)

    def test_a_directory_of_the_name(self):
        for path in [PLACE, "pipeline/defaults.yaml", "data/grammars/cfg3f.grammar"]:
            with self.subTest(path):
                kept = (self.place.path / path).read_text()
                (self.place.path / path).unlink()
                (self.place.path / path).mkdir()
                self.assert_refused(self.place.make("figure2"), path)
                (self.place.path / path).rmdir()
                self.place.write(path, kept)

    def test_settings_that_are_wrong(self):
        rules = (self.place.path / "data/plan/tiny/figure2.mk").read_bytes()
        for text, word in [(PRESET + "seeds: [2]\n", PLACE), (PRESET + "seds: [2]\n", "seds"),
                           ("a: [", PLACE), ("", PLACE), ("\0", PLACE)]:
            with self.subTest(text[-12:]):
                self.place.write(PLACE, text)
                self.assert_refused(self.place.make("figure2"), word)
                self.assert_refused(self.place.make("-j2", "figure2"), word)
        self.assertEqual((self.place.path / "data/plan/tiny/figure2.mk").read_bytes(), rules)

    def test_what_make_wrote_may_be_deleted(self):
        for folder in ["data/config", "data/plan", "data/config/train"]:
            with self.subTest(folder):
                before = self.place.files()
                shutil.rmtree(self.place.path / folder)
                self.assert_current()
                after = self.place.files()
                self.assertEqual({name: content for name, (content, _) in after.items()},
                                 {name: content for name, (content, _) in before.items()})

    def test_a_deleted_configuration_is_there_when_its_stage_runs(self):
        sample = next(name for name in self.place.outputs() if name.startswith("data/sample/"))
        shutil.rmtree(self.place.path / sample)
        shutil.rmtree(self.place.path / "data/config")
        result = self.place.make(f"{sample}/index.json")
        self.assertEqual(result.returncode, 0, result.stderr)
        shutil.rmtree(self.place.path / "data/config")
        again = self.place.make("rerun", "STAGE=sample", "RUN=first")
        self.assertIn("identical: ", again.stdout, again.stderr)

    def test_altered_configurations_and_rules_are_written_anew(self):
        for name in ["data/plan/tiny/figure2.mk",
                     f"data/config/{self.place.outputs()[0][5:]}.json"]:
            kept = (self.place.path / name).read_text()
            for text in ["", "endif\n: [", kept[:len(kept) // 2]]:
                with self.subTest(name, text=text[:9]):
                    self.place.write(name, text, FAR_OFF)
                    self.assert_current()
                    self.assertEqual((self.place.path / name).read_text(), kept)

    def test_results_are_those_of_the_report(self):
        for ending in ["csv", "json", "svg", "evidence.json"]:
            name = f"results/tiny/figure2.{ending}"
            kept = (self.place.path / name).read_text()
            for change in ["altered", None]:
                with self.subTest(name, change=change):
                    (self.place.path / name).unlink()
                    if change:
                        self.place.write(name, change, FAR_OFF)
                    result = self.place.make("figure2")
                    self.assertEqual(result.returncode, 0, result.stderr)
                    self.assertNotIn("--config", result.stdout)
                    self.assertEqual((self.place.path / name).read_text(), kept)

    def test_a_single_result_is_a_goal(self):
        self.place.write("results/tiny/figure2.csv", "altered", FAR_OFF)
        for goal in ["results/tiny/figure2.csv", "results/tiny/figure2.svg"]:
            result = self.place.make(goal, "PRESET=smoke", "FIGURE=scaling-law")
            self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual((self.place.path / "results/tiny/figure2.csv").read_text(), "csv")
        self.place.write(PLACE, CHANGED)
        result = self.place.make("-n", "results/tiny/figure2.csv", "PRESET=smoke")
        self.assertIn("ott-train", result.stdout)


class Text(Case):
    """A corpus without a digest is what its bytes say."""

    figure = "scaling-law"

    def setUp(self):
        self.place = Checkout()
        self.addCleanup(self.place.remove)
        smoke = (self.place.path / "pipeline/text/presets/smoke.yaml").read_text()
        self.place.write("pipeline/text/presets/tiny.yaml", smoke)
        self.place.finish(self.figure)
        self.assertEqual(self.place.would_run(self.figure), [])

    def test_changed_text(self):
        for path, stages in [
                ("data/texts/treasury.jsonl",
                 ["vocabulary", "tokenize", "map", "count", "train", "evaluate", "report"]),
                ("data/texts/documentation.jsonl", ["tokenize", "map", "count", "evaluate", "report"])]:
            with self.subTest(path):
                before = (self.place.path / path).stat()
                kept = (self.place.path / path).read_text()
                self.place.write(path, kept.replace(" the ", " eht ", 1))
                os.utime(self.place.path / path, ns=(before.st_atime_ns, before.st_mtime_ns))
                self.assert_stale(*stages)
                self.place.write(path, kept, FAR_OFF)
                self.assert_current()


class Permissions(Case):
    """As somebody who may not read or write; root may everything, so root becomes nobody."""

    def setUp(self):
        super().setUp()
        self.user = 65534 if os.geteuid() == 0 else None
        # Where the checkout lies nobody else may be let in.
        self.bin = self.place.base / "bin"
        self.bin.mkdir()
        for name in ["ott-plan"]:
            shutil.copy2(BIN / name, self.bin / name)

    def make(self, *goals):
        return self.place.make(*goals, bin=self.bin, user=self.user)

    def test_a_read_only_checkout_with_finished_results(self):
        before = self.place.files()
        subprocess.run(["chmod", "-R", "a-w", self.place.path], check=True)
        try:
            result = self.make("figure2")
        finally:
            subprocess.run(["chmod", "-R", "u+w", self.place.path], check=True)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("Nothing to be done", result.stdout)
        self.assertEqual(self.place.files(), before)

    def test_unreadable_settings(self):
        for path in [PLACE, "data/grammars/cfg3f.grammar", "pipeline/figure2.gnuplot"]:
            with self.subTest(path):
                (self.place.path / path).chmod(0)
                self.assert_refused(self.make("figure2"), path, "Permission denied")
                (self.place.path / path).chmod(0o644)

    def test_a_change_that_cannot_be_planned(self):
        self.place.write(PLACE, CHANGED)
        subprocess.run(["chmod", "-R", "a-w", self.place.path], check=True)
        try:
            self.assert_refused(self.make("figure2"), "data/config")
        finally:
            subprocess.run(["chmod", "-R", "u+w", self.place.path], check=True)


if __name__ == "__main__":
    unittest.main()
