"""Names that make, the shell or both take for something else."""

import unittest

from checkout import CHANGED, PLACE, PRESET, Case, Checkout

ODD = ["a b", "a:b", "a#b", "a$b", "a$(b)", "a%b", "%", "a'b", 'a"b', "a\nb", "a\\b", "*", "a;b", "a=b",
       "a|b", "~", "-n", "ä ö", "a\tb", "a, b", "(a", "a&b", ".a"]


class Paper(unittest.TestCase):
    def test_all_figures_of_the_paper_are_one_goal(self):
        place = Checkout()
        self.addCleanup(place.remove)
        names = [f"{kind}{n}" for kind, ns in [("figure", "1 2 4 7a 7b 7c 9 13 14"), ("table", "1 2 3 4 5 6")]
                 for n in ns.split()] + ["scaling-law"]
        dry = place.make("-n", "paper", "PRESET=smoke")
        self.assertEqual(dry.returncode, 0, dry.stderr)
        for name in names:
            self.assertIn(f"results/smoke {name} ", dry.stdout)
        plan = place.make("plan", "FIGURE=paper", "PRESET=smoke")
        self.assertEqual(plan.returncode, 0, plan.stderr)
        for name in names:
            self.assertRegex(plan.stdout, rf"(?m)^{name} ")


class FileNames(Case):
    def test_odd_names_beside_the_settings(self):
        for folder, ending in [("pipeline", ".yaml"), ("pipeline/presets", ".yaml"),
                               ("pipeline/corpora", ".yaml"), ("pipeline/new folder", ".txt"),
                               ("data/grammars", ".grammar"), ("data/texts", ".jsonl")]:
            for name in ODD:
                self.place.write(f"{folder}/{name}{ending}", "odd")
        self.assert_current()
        self.place.write(PLACE, CHANGED)
        self.assert_stale("train", "evaluate", "report")
        help_text = self.place.make("help")
        self.assertEqual(help_text.returncode, 0, help_text.stderr)
        self.assertIn("  table4 ", help_text.stdout)

    def test_odd_names_in_a_fresh_clone(self):
        for name in ODD:
            place = Checkout()
            self.addCleanup(place.remove)
            for folder in ["pipeline", "data/grammars", "data/texts"]:
                place.write(f"{folder}/{name}", "odd")
            with self.subTest(name):
                self.assertIn("train", place.would_run())

    def test_settings_of_odd_names(self):
        """A grammar may be called anything; what make has to call by name may not."""
        grammar = (self.place.path / "data/grammars/cfg3f.grammar").read_text()
        name = "data/grammars/it's my: $grammar#1 100%.grammar"
        self.place.write(name, grammar)
        self.place.replace(PLACE, "data: {", f'data: {{grammar: "{name}", ')
        self.assertIn("sample", self.place.would_run())
        self.place.write("pipeline/corpora/sample.yaml",
                         (self.place.path / "pipeline/corpora/sample.yaml").read_text()
                         + 'made: "data/my corpus: $x"\n')
        result = self.place.make("scaling-law", "PRESET=smoke")
        self.assert_refused(result, "made", "'data/my corpus: $x'")

    def test_figures_and_presets_of_odd_names(self):
        for name in ["a:b", "a=b", "a,b", "-n"]:
            self.place.write(f"pipeline/{name}.yaml", "like: figure2\ntitle: of an odd name\n")
            self.place.write(f"pipeline/presets/{name}.yaml", PRESET)
            with self.subTest(name):
                if "=" not in name and not name.startswith("-"):
                    self.assert_refused(self.place.make("-n", name), f"found '{name}'")
                self.assert_refused(
                    self.place.make("-n", "figure2", f"PRESET={name}"), f"found '{name}'")
        self.assert_current()


class Directories(unittest.TestCase):
    def test_checkouts_in_odd_places(self):
        for name in ["two words", "it's", 'a"b', "a$b", "a#b", "a%b", "a:b", "ä", "a\\b", "(a)"]:
            with self.subTest(name):
                place = Checkout(name)
                self.addCleanup(place.remove)
                place.finish()
                place.write(PLACE, CHANGED)
                self.assertEqual(len(place.would_run()), place.plan_says())

    def test_executables_in_odd_places(self):
        place = Checkout()
        self.addCleanup(place.remove)
        result = place.make("-n", "figure2", bin=place.path / "two words")
        self.assertEqual(result.returncode, 2)
        self.assertIn("BIN: expected", result.stderr)


class Goals(Case):
    def test_outputs_of_another_figure(self):
        output = next(name for name in self.place.outputs() if name.startswith("data/train/"))
        (self.place.path / output / "index.json").unlink()
        # The rules that name it are planned anew, though FIGURE and PRESET are others.
        result = self.place.make("-n", f"{output}/index.json", "FIGURE=table4", "PRESET=smoke")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(f"--output {output} ", result.stdout)
        self.place.write(PLACE, CHANGED)
        result = self.place.make("-n", f"{output}/index.json")
        self.assertEqual(result.returncode, 2)
        self.assertIn(f"{output}/index.json: expected an output of tiny/figure2", result.stderr)

    def test_outputs_that_no_rule_names(self):
        for goal in ["data/train/0123456789ab/index.json", "data/train/x'y/index.json",
                     "data/map/0123456789ab"]:
            with self.subTest(goal):
                result = self.place.make(goal)
                self.assertEqual(result.returncode, 2)
                self.assertIn(f"{goal}: expected an output of tiny/figure2", result.stderr)

    def test_cleaning_is_done_alone(self):
        for goals in [["clean", "figure2"], ["figure2", "clean-train"], ["clean-build", "build"]]:
            with self.subTest(goals):
                result = self.place.make(*goals)
                self.assertEqual(result.returncode, 2)
                self.assertIn("expected to be made alone", result.stderr)
        self.assert_current()

    def test_what_clean_forgets(self):
        kept = ["data/corpus/default/digest", "data/tokenizer/a/tokenizer.json",
                "data/peers/vocabularies/neox.json", "archive/a.tar.gz"]
        for name in kept:
            self.place.write(name, "kept")
        result = self.place.make("clean")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(sorted(path.name for path in (self.place.path / "data").iterdir()),
                         ["corpus", "grammars", "peers", "texts", "tokenizer"])
        for name in [*kept, "results/tiny/figure2.csv"]:
            self.assertTrue((self.place.path / name).exists(), name)


class Two(Case):
    def test_makes_at_once(self):
        """Each sees the settings as they are; none sees half a file of the other."""
        import concurrent.futures
        import shutil
        for _ in range(3):
            shutil.rmtree(self.place.path / "data/plan")
            shutil.rmtree(self.place.path / "data/config")
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                for result in pool.map(lambda _: self.place.make("figure2"), range(4)):
                    self.assertEqual(result.returncode, 0, result.stderr)
                    self.assertIn("Nothing to be done", result.stdout)
        left = [name for name in self.place.files() if ".tmp-" in name]
        self.assertEqual(left, [])


if __name__ == "__main__":
    unittest.main()
