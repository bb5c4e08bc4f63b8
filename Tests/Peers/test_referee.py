import json
import shutil
import tempfile
import unittest
from pathlib import Path

try:
    import referee
except ImportError:
    referee = None

RESULTS = Path(__file__).resolve().parents[2] / "results" / "laptop"


@unittest.skipIf(referee is None, "numpy and scipy are not there: make referee brings them")
class Referee(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name) / "results"
        shutil.copytree(RESULTS, self.folder)

    def differences(self, name, change):
        path = self.folder / f"{name}.json"
        result = json.loads(path.read_text())
        change(result)
        path.write_text(json.dumps(result))
        return referee.judge(self.folder, name)[1]

    def test_what_is_published_is_agreed_to(self):
        for path in sorted(self.folder.glob("*.evidence.json")):
            claims, found = referee.judge(self.folder, path.name.removesuffix(".evidence.json"))
            self.assertEqual(found, [])
            # Parts of a corpus that lie in one another grow by construction: nothing is claimed of them. The
            # curves of figure 14 are of table 6's runs, which judges where they end.
            claimless = path.name.startswith(("scone-figure3.", "figure14."))
            self.assertEqual(claims == 0, claimless, path.name)

    def test_another_verdict_is_found(self):
        def change(result):
            result["claims"][0]["speed"]["verdict"] = "reproduced"
        found = self.differences("figure2", change)
        self.assertEqual(len(found), 1)
        self.assertIn("figure2.json:claims/0/speed/verdict: computed", found[0])

    def test_another_digit_is_found(self):
        def change(result):
            result["fits"]["train_loss"]["b"]["low"] *= 1.00001
        found = self.differences("scaling-law", change)
        self.assertEqual([line.split(":")[1] for line in found], ["fits/train_loss/b/low"])

    def test_an_effect_without_interval_is_found(self):
        def change(result):
            del result["comparisons"][2]["train_loss"]["low"]
        self.assertIn("low: computed alone", self.differences("table3", change)[0])

    def test_a_number_that_nothing_computes_is_found(self):
        def change(result):
            result["claims"][1]["estimate"]["surely"] = 1.0
        self.assertIn("surely: published alone", self.differences("figure9", change)[0])

    def test_another_csv_is_found(self):
        path = self.folder / "table4.csv"
        lines = path.read_text().split("\n")
        cells = lines[1].split(",")
        cells[5] = str(float(cells[5]) + 0.01)
        path.write_text("\n".join([lines[0], ",".join(cells)] + lines[2:]))
        self.assertGreater(len(referee.judge(self.folder, "table4")[1]), 3)


if __name__ == "__main__":
    unittest.main()
