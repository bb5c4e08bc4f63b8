"""Run by `make test`: python3 -m unittest discover -s Tests/Peers"""

import os
import sys
import tempfile
import unittest

from race import HEADER, Racer, largest_difference, summary, write_table


class Summaries(unittest.TestCase):
    def test_ratios_are_paired(self):
        row = summary("w", "tokens/s", [(10, 5), (30, 10), (20, 20)], "m")
        self.assertEqual(row, ["w", "tokens/s", "20", "10", "m", "2", "1", "3", 3])

    def test_less_can_be_better(self):
        self.assertEqual(summary("w", "MB", [(50, 200)], "m", less_is_better=True)[5:], ["4", "4", "4", 1])

    def test_even_numbers_of_runs(self):
        self.assertEqual(summary("w", "s", [(1, 1), (3, 1)], "m")[5], "2")

    def test_no_runs(self):
        with self.assertRaises(ValueError):
            summary("w", "s", [], "m")


class Differences(unittest.TestCase):
    def test_largest(self):
        self.assertAlmostEqual(largest_difference([2.0, 3.3], [2.0, 3.0]), 0.1)

    def test_refuses_other_lengths(self):
        for ours, theirs in [([1.0], []), ([], [])]:
            with self.assertRaises(ValueError):
                largest_difference(ours, theirs)


class Tables(unittest.TestCase):
    def test_rows_replace_older_ones(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "new", "table.csv")
            row = lambda work, ours: [work, "s", ours, "1", "a, b", "1", "1", "1", 3]
            write_table(path, [row("b", "1"), row("z", "2")], ["a", "b"])
            write_table(path, [row("b", "3"), row("a", "4")], ["a", "b"])
            with open(path) as file:
                lines = file.read().splitlines()
            self.assertEqual(lines[0], ",".join(HEADER))
            self.assertEqual([line[:5] for line in lines[1:]], ["a,s,4", "b,s,3", "z,s,2"])
            self.assertTrue(all('"a, b"' in line for line in lines[1:]))
            self.assertEqual(os.listdir(os.path.dirname(path)), ["table.csv"])


FAKE = """
import sys
print("ready 7")
step = 0
for line in sys.stdin:
    for _ in range(int(line)):
        step += 1
        print("step", step, 1 / step, 10, 0.5, flush=True)
print("peak 123")
"""


class Racing(unittest.TestCase):
    def test_takes_turns(self):
        racer = Racer([sys.executable, "-u", "-c", FAKE])
        self.assertEqual(racer.parameters, 7)
        self.assertEqual(racer.go(3), 20)
        self.assertEqual(racer.go(1), 20)
        self.assertEqual(racer.losses, [1, 1 / 2, 1 / 3, 1 / 4])
        self.assertEqual(racer.finish(), 123)

    def test_a_side_that_ends_early(self):
        with self.assertRaises(RuntimeError):
            Racer([sys.executable, "-c", "print('no')"])


if __name__ == "__main__":
    unittest.main()
