"""tools/ranks-model: its terms by hand, and that a fit finds again what steps were made of."""

import csv
import importlib.machinery
import importlib.util
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
TOOL = PROJECT / "tools/ranks-model"
PUBLISHED = PROJECT / "results/bench/ranks.csv"


def load():
    loader = importlib.machinery.SourceFileLoader("ranks_model", str(TOOL))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("ranks_model", loader))
    # A dataclass looks for its module there.
    sys.modules["ranks_model"] = module
    loader.exec_module(module)
    return module


model = load()
NETWORKS = {"memory": model.Network(1e-6, 0.5e-6, 5e9), "1gbit": model.Network(50e-6, 10e-6, 0.12e9)}
RATES = {"small": 40e9, "large": 80e9}
OPTIMIZER, ROW, GROUPING = 2e-9, 3e-9, 40e-9


def made_up(noise=0.0):
    """A table of steps that take as long as the formula says, each by up to `noise` more or less."""
    rows = []
    for name, rate in RATES.items():
        for network, ranks, threads in [("memory", 1, 2), ("memory", 1, 1), ("memory", 2, 1), ("memory", 4, 1),
                                        ("1gbit", 2, 1), ("1gbit", 4, 1)]:
            for tables in ("dense", "sharded", "replicated"):
                step = model.Step(2048, {"small": 2e6, "large": 7e6}[name], ranks, min(threads, 2 / ranks), tables,
                                  *((0, 0, 0) if tables == "dense" else (128, 5000, 5000 // ranks)))
                seconds = model.parts(step, model.Costs(rate, OPTIMIZER, ROW, GROUPING), NETWORKS[network])
                total = sum(seconds.values())
                share = OPTIMIZER * step.parameters / ranks / step.cores / total
                rows.append(dict(model=name, network=network, what=tables, size=0, ranks=ranks, threads=threads,
                                 cores_per_rank=step.cores, ms=1e3 * total * (1 + noise * (-1) ** len(rows)),
                                 optimizer_share=share, tokens=2048, parameters=int(step.parameters), columns=step.columns,
                                 rows=step.rows, rank_rows=step.rank_rows))
    for name, network in NETWORKS.items():
        for ranks in (2, 4):
            for size in (8, 1 << 23):
                rows.append(dict(model="", network=name, what="message", size=size, ranks=ranks,
                                 ms=1e3 * (network.latency + (size > 8) * size / network.bandwidth)))
            count = 4 * (ranks - 1)
            rows.append(dict(model="", network=name, what="exchange", size=count, ranks=ranks,
                             ms=1e3 * (network.latency + (count - 1) * network.message)))
    rows += [dict(model="", network="memory", what="grouping", size=size, ranks=1, per_s=1 / GROUPING) for size in (8192, 1 << 21)]
    return [{key: str(value) for key, value in row.items()} for row in rows]


class Terms(unittest.TestCase):
    def setUp(self):
        self.network = model.Network(latency=1e-3, message=1e-4, bandwidth=1e6)
        self.costs = model.Costs(rate=6e9, optimizer=1e-9, row=1e-9, grouping=1e-8)

    def test_computing_is_shared_by_ranks_and_processors(self):
        step = model.Step(tokens=1000, parameters=1e6, ranks=4, cores=2)
        self.assertAlmostEqual(model.computing(step, self.costs), (6e9 / 6e9 + 1e-3) / 8)
        # Four ranks on two processors take as long as two.
        shared = model.Step(tokens=1000, parameters=1e6, ranks=4, cores=0.5)
        self.assertAlmostEqual(model.computing(shared, self.costs), (1 + 1e-3) / 2)

    def test_the_reduction_moves_twice_what_is_not_its_own(self):
        step = model.Step(tokens=1, parameters=1e6, ranks=4, cores=1)
        self.assertAlmostEqual(model.reduction(step, self.network), 2 * (2 * 1e-3 + 3e6 / 1e6))

    def test_rows_travel_once_each_way(self):
        step = model.Step(100, 0, 2, 1, "sharded", columns=8, rows=300, rank_rows=160)
        rows, gradients, norms = 160 / 2 * 2 * 4, 50 / 2 * 8 * 4, 150 / 2 * 8
        self.assertAlmostEqual(model.rows_travelling(step, self.network), (rows + gradients + norms) / 1e6)
        step.tables = "replicated"
        self.assertAlmostEqual(model.rows_travelling(step, self.network), 100 / 2 * 8 * 4 / 1e6)

    def test_transfers_are_what_is_no_waiting(self):
        step = model.Step(100, 1e6, 4, 1, "sharded", columns=8, rows=300, rank_rows=160)
        self.assertAlmostEqual(model.transfers(step, self.network), model.reduction(step, self.network) - 2 * 2 * 1e-3
                               + model.rows_travelling(step, self.network))

    def test_messages_grow_with_ranks(self):
        step = model.Step(1, 0, 8, 1)
        self.assertAlmostEqual(model.messages(step, self.network), 2 * 7 * 1e-3)
        step.tables = "sharded"
        self.assertAlmostEqual(model.messages(step, self.network), 3 * 7 * 1e-3 + 3e-3 + (9 * 7 - 3) * 1e-4)

    def test_grouping_is_of_the_whole_batch(self):
        times = {model.grouping(model.Step(1000, 0, ranks, 2, "sharded"), self.costs) for ranks in (1, 64)}
        self.assertEqual(times, {1e-8 * 1000 * 4 / 2})
        self.assertEqual(model.grouping(model.Step(1000, 0, 2, 1), self.costs), 0)

    def test_one_rank_sends_nothing(self):
        found = model.parts(model.Step(1000, 1e6, 1, 1, "sharded", 8, 10, 10), self.costs, None)
        self.assertEqual([found["reduction"], found["rows that travel"], found["messages"]], [0, 0, 0])

    def test_memory(self):
        step = model.Step(1024, 1e6, 4, 1, "sharded", columns=8)
        held = model.memory(step, rows=1e6)
        self.assertEqual(held["tables"], 1e6 * 8 * 12 / 4)
        self.assertEqual(held["dense"], 1e6 * (4 + 4 + 2 + 8 / 4))


class Fit(unittest.TestCase):
    def test_it_finds_what_the_steps_were_made_of(self):
        measured = model.Measured(made_up())
        fitted = model.fit(measured)
        costs = fitted.costs
        for name, rate in RATES.items():
            self.assertAlmostEqual(costs[name].rate / rate, 1, places=3)
            self.assertAlmostEqual(costs[name].optimizer / OPTIMIZER, 1, places=3)
            self.assertAlmostEqual(costs[name].row / ROW, 1, delta=0.02)
        self.assertLess(max(abs(error) for _, _, error in model.compare(measured, fitted)), 1e-3)

    def test_ranks_that_are_left_out_are_foretold(self):
        measured = model.Measured(made_up())
        errors = [abs(error) for row, _, error in model.compare(measured, model.fit(measured, most=2)) if row["ranks"] == "4"]
        self.assertEqual(len(errors), 12)
        self.assertLess(max(errors), 1e-3)

    def test_what_steps_get_of_a_link_is_fitted(self):
        rows = made_up()
        for row in rows:
            # Timed alone, messages get half.
            if row["what"] == "message" and row["network"] == "1gbit" and row["size"] != "8":
                row["ms"] = str(2 * float(row["ms"]))
        measured = model.Measured(rows)
        fitted = model.fit(measured)
        self.assertAlmostEqual(measured.network("1gbit", 2).bandwidth / 0.06e9, 1, delta=0.01)
        self.assertAlmostEqual(fitted.networks["1gbit", 2].bandwidth / 0.12e9, 1, delta=0.01)
        self.assertEqual(fitted.networks["memory", 2], measured.network("memory", 2))
        self.assertLess(max(abs(error) for _, _, error in model.compare(measured, fitted)), 0.01)

    def test_noise_does_not_grow(self):
        measured = model.Measured(made_up(noise=0.05))
        self.assertLess(max(abs(error) for _, _, error in model.compare(measured, model.fit(measured))), 0.10)


class Command(unittest.TestCase):
    def run_on(self, rows, *words):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "ranks.csv"
            with open(path, "w", newline="") as file:
                writer = csv.DictWriter(file, sorted({key for row in rows for key in row}), restval="")
                writer.writeheader()
                writer.writerows(rows)
            return subprocess.run([TOOL, path, *words], capture_output=True, text=True)

    def test_it_says_how_far_off_it_is_and_what_more_ranks_cost(self):
        done = self.run_on(made_up())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("largest error: 0.0 %", done.stdout)
        self.assertRegex(done.stdout, r"\n\| 1,024 \|")
        self.assertIn("memory of one of 1,024 ranks: tables 9.00 GB", done.stdout)

    def test_beyond_the_bar_is_an_error(self):
        done = self.run_on(made_up(noise=0.1), "--bar", "0.01")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"\Aerror: .*: expected steps within 1 % of the formula, found one that is [0-9.]+ % off\n\Z")

    def test_what_it_cannot_read(self):
        done = subprocess.run([TOOL, "/nowhere.csv"], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr),
                         (1, "error: /nowhere.csv: No such file or directory. Run: make bench-ranks\n"))
        done = self.run_on([{"what": "dense", "ms": "1"}])
        self.assertEqual(done.returncode, 1)
        self.assertIn("expected a column 'model', found none", done.stderr)

    def test_what_is_published_can_be_read(self):
        done = subprocess.run([TOOL, PUBLISHED, "--bar", "inf"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        for network in ("1gbit", "10gbit"):
            self.assertRegex(done.stdout, f"a link of {network}( [0-9]+us)? for each:")


if __name__ == "__main__":
    unittest.main()
