"""Two sides that take turns, and what their times say."""

import csv
import os
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "tools"))
from writing import write_csv

HEADER = ["work", "unit", "ours", "peer", "peer_mode", "ratio", "ratio_low", "ratio_high", "runs"]


class Racer:
    """A process that prints `ready N`, then works as many steps as each line it is given says."""

    def __init__(self, command, environment=None):
        self.name = os.path.basename(command[0])
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=dict(os.environ, **(environment or {})))
        self.losses = []
        self.parameters = int(self.line("ready")[0])

    def line(self, word):
        text = self.process.stdout.readline()
        words = text.split()
        if not words or words[0] != word:
            self.process.kill()
            self.process.communicate()
            raise RuntimeError(f"{self.name}: expected a line '{word} …', found {text!r}")
        return words[1:]

    def go(self, steps):
        """Does a group of steps; returns rows a second of working time."""
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        rows, seconds = 0, 0.0
        for _ in range(steps):
            _, loss, count, time = self.line("step")
            self.losses.append(float(loss))
            rows += int(count)
            seconds += float(time)
        return rows / seconds

    def finish(self):
        """Ends the process; returns its largest resident size in bytes."""
        self.process.stdin.close()
        peak = int(self.line("peak")[0])
        self.process.stdout.close()
        self.process.wait()
        return peak


def summary(work, unit, pairs, mode, less_is_better=False):
    """A row of the table from pairs (ours, theirs) of one run each.

    The ratio is the median over runs of ours / theirs, or theirs / ours where less is better: above
    1 we are ahead. Low and high are the least and the greatest."""
    if not pairs:
        raise ValueError(f"{work}: no runs")
    ratios = [b / a if less_is_better else a / b for a, b in pairs]
    ours, peer = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
    return [work, unit, f"{ours:.5g}", f"{peer:.5g}", mode, f"{statistics.median(ratios):.3g}",
            f"{min(ratios):.3g}", f"{max(ratios):.3g}", len(pairs)]


def largest_difference(ours, theirs):
    """The largest |a − b| / |b| of two lists of losses of one length."""
    if len(ours) != len(theirs) or not ours:
        raise ValueError(f"{len(ours)} losses beside {len(theirs)}")
    return max(abs(a - b) / abs(b) for a, b in zip(ours, theirs))


def write_table(path, rows, order):
    """Puts rows into the table at `path`, in place of older rows of the same work; `order` lists the
    works as they shall stand, others go last."""
    kept = {}
    if os.path.exists(path):
        with open(path, newline="") as file:
            kept = {row[0]: row for row in list(csv.reader(file))[1:]}
    kept.update({row[0]: row for row in rows})
    place = {work: i for i, work in enumerate(order)}
    write_csv(path, [HEADER] + sorted(kept.values(), key=lambda row: place.get(row[0], len(place))))
