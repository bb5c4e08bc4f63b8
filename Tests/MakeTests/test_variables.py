"""Odd values of make's variables are refused by one message or taken literally; help says what there is."""

import re
import unittest

from checkout import PROJECT, Case


class Values(Case):
    def test_refused_at_once(self):
        for value, word in [
                ("PRESET=tiny ", "'tiny '"), ("PRESET=", "''"), ("PRESET=a b", "'a b'"),
                ("PRESET=a$b", "'a$b'"), ("PRESET=%", "'%'"), ("FIGURE=it's", "it's"),
                ("FIGURE=figure2\tfigure9", "FIGURE"), ("STAGE=", "''"), ("JOBS=0", "'0'"),
                ("JOBS=-1", "'-1'"), ("JOBS=x", "'x'"), ("JOBS=1.5", "'1.5'"), ("JOBS=2 3", "'2 3'"),
                ("JOBS=99999999999", "'99999999999'"), ("JOBS=\"", "JOBS"), ("THREADS=0", "'0'"),
                ("THREADS=two", "'two'"), ("RANKS=0", "'0'"), ("RANKS=4 4", "'4 4'"), ("MPIRUN=", "''"),
                ("MPIRUN=mpirun -n 2", "'mpirun -n 2'"), ("PRECISION=foo", "'foo'"), ("PRECISION=float32 ", "float32 "),
                ("DEVICE=gpu", "'gpu'"), ("DEVICE=cuda ", "'cuda '"), ("DEVICE=a b", "'a b'"), ("DEVICE_TABLES=disk", "'disk'"),
                ("RUN=a\nb", "'a\\nb'"), ("NUMBER=a\nb", "NUMBER"), ("LAUNCH=a\nb", "LAUNCH")]:
            for goal in ["figure2", "plan"]:
                with self.subTest(value, goal=goal):
                    result = self.place.make(goal, value)
                    self.assertEqual(result.returncode, 2)
                    self.assertEqual(result.stdout, "")
                    self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
                    self.assertIn(value.partition("=")[0] + ": expected", result.stderr)
                    self.assertIn(word, result.stderr)

    def test_names_that_are_not_there(self):
        for arguments, words in [
                (["plan", "FIGURE=figure3"], ["figure 'figure3'", "figure2"]),
                (["figure2", "PRESET=tine"], ["preset 'tine'", "Did you mean 'tiny'?"]),
                (["figure2", "PRESET=*"], ["preset '*'"]),
                (["plan", "PRESET=tiny-float16"], ["preset 'tiny-float16'"]),
                (["rerun", "STAGE=trian"], ["'trian'", "Did you mean 'train'?"]),
                (["rerun", "RUN=it's $HOME"], ["run 'it's $HOME'"]),
                (["rerun", "RUN=3-gram output/small/2"], ["Did you mean '3-gram output/small/1'?"]),
                (["explain", "NUMBER=it's.json:1 $HOME"], ["it's.json"]),
                (["explain", "NUMBER="], []), (["archive", "FIGURE=figure3"], ["figure3"])]:
            with self.subTest(arguments):
                self.assert_refused(self.place.make(*arguments), *words)

    def test_values_that_are_right(self):
        for values in [["JOBS=1"], ["JOBS=16"], ["THREADS=3"], ["JOBS=", "THREADS="],
                       ["PRECISION=float32"], ["PRECISION=bfloat16"], ["-j3"], ["-j"],
                       ["DEVICE=cpu"], ["DEVICE=torch-cpu"], ["DEVICE=cuda", "PRECISION=bfloat16"]]:
            with self.subTest(values):
                result = self.place.make("-n", "figure2", *values)
                self.assertEqual(result.returncode, 0, result.stderr)

    def test_jobs_and_threads_reach_the_stages(self):
        output = next(name for name in self.place.outputs() if name.startswith("data/map/"))
        (self.place.path / output / "index.json").unlink()
        result = self.place.make("-n", f"{output}/index.json", "JOBS=1", "THREADS=7")
        self.assertIn("--threads 7 ", result.stdout)
        for jobs in ["JOBS=9999", "-j9999", "-j"]:
            result = self.place.make("-n", f"{output}/index.json", jobs)
            self.assertIn("--threads 1 ", result.stdout)


    def test_places_of_tables_reach_trainings_alone(self):
        self.place.make("clean")
        result = self.place.make("-n", "figure2", "DEVICE=torch-cpu", "DEVICE_TABLES=host")
        self.assertEqual(result.returncode, 0, result.stderr)
        commands = re.findall(r"^.*/ott-([a-z]+) --config (.*)$", result.stdout, re.MULTILINE)
        self.assertIn("train", {stage for stage, _ in commands})
        for stage, words in commands:
            self.assertEqual(" --device-tables host --name " in words, stage == "train", words)

    def test_places_of_tables_want_a_device(self):
        self.place.make("clean")
        self.assert_refused(
            self.place.make("figure2", "DEVICE_TABLES=host"), "DEVICE_TABLES=host: expected trainings on a device",
            "those of figure2 at tiny, which are on the CPU", "Leave it out, or name a DEVICE")
        # A paper has figures that train nothing.
        counted = self.place.make("-n", "scone-figure3", "PRESET=smoke", "DEVICE=torch-cpu", "DEVICE_TABLES=host")
        self.assertEqual(counted.returncode, 0, counted.stderr)


class Launch(Case):
    def test_only_training_and_evaluation_are_launched(self):
        self.place.make("clean")
        result = self.place.make("-n", "figure2", 'LAUNCH=env A="b c" srun -n 16')
        self.assertEqual(result.returncode, 0, result.stderr)
        commands = re.findall(r"^(.*/ott-([a-z]+) --config .*)$", result.stdout, re.MULTILINE)
        self.assertEqual(len(commands), len(self.place.outputs()))
        for line, stage in commands:
            launched = stage in ("train", "evaluate")
            self.assertEqual(line.startswith('env A="b c" srun -n 16 /'), launched, line)
            self.assertEqual(line.startswith("/"), not launched, line)

    def test_ranks_share_trainings_and_evaluations(self):
        self.place.make("clean")
        for values, launch, threads in [
                (["RANKS=4", "JOBS=1", "THREADS=3"], "tools/ranks 4 ", "3"),
                (["RANKS=9999", "JOBS=1"], "tools/ranks 9999 ", "1"),
                (["RANKS=2", "LAUNCH=srun -n 2", "THREADS=5"], "srun -n 2 ", "5")]:
            result = self.place.make("-n", "figure2", *values)
            self.assertEqual(result.returncode, 0, result.stderr)
            lines = re.findall(r"^.*/ott-[a-z]+ --config .*$", result.stdout, re.MULTILINE)
            shared = [line for line in lines if re.search("/ott-(train|evaluate) ", line)]
            self.assertEqual({"train", "evaluate"}, {re.search("/ott-([a-z]+) ", line)[1] for line in shared})
            self.assertGreater(len(lines), len(shared))
            for line in shared:
                self.assertTrue(line.startswith(launch + "/"), line)
                self.assertIn(f"--threads {threads} --ranks {values[0][6:]} ", line)
            for line in lines:
                if line not in shared:
                    self.assertNotIn("ranks", line)
                    self.assertFalse(line.startswith("srun"), line)

    def test_ranks_share_tasks(self):
        result = self.place.make("-n", "figure8", "PRESET=smoke", "RANKS=2", "JOBS=1", "THREADS=1")
        self.assertEqual(result.returncode, 0, result.stderr)
        lines = re.findall(r"^.*/ott-downstream --config .*$", result.stdout, re.MULTILINE)
        self.assertTrue(lines)
        for line in lines:
            self.assertTrue(line.startswith("tools/ranks 2 /"), line)
            self.assertIn("--threads 1 --ranks 2 ", line)

    def test_rerun_launches_the_same(self):
        for stage, count in [("sample", 0), ("train", 1)]:
            result = self.place.make("-n", "rerun", f"STAGE={stage}", "LAUNCH=srun -n 2")
            self.assertEqual(result.stdout.count("srun -n 2"), count, result.stdout)


class Help(Case):
    def test_every_figure_variable_and_preset(self):
        text = self.place.make("help", "RUN=it's 100% $HOME").stdout
        for path in PROJECT.glob("pipeline/*.yaml"):
            if path.stem != "defaults":
                self.assertRegex(text, rf"(?m)^  {path.stem} +\S")
        declared = re.findall(r"(?m)^([A-Z_]+) \?=", "".join(
            path.read_text() for path in [PROJECT / "Makefile", *PROJECT.glob("pipeline/*.mk")]))
        for name in declared:
            self.assertRegex(text, rf"(?m)^  {name} +\S")
        self.assertIn("[it's 100% $HOME]", text)
        self.assertIn("tiny", text.splitlines()[-1])

    def test_columns(self):
        """All texts of a section begin in the same column."""
        for section in self.place.make("help").stdout.split("\n\n")[:3]:
            lines = section.splitlines()[1:]
            starts = {re.match(r"  \S+ +", line).end() for line in lines}
            self.assertEqual(len(starts), 1, section)


if __name__ == "__main__":
    unittest.main()
