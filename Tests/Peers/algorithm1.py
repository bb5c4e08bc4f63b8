"""Makes the golden rows of Tests/NGramsTests: Algorithm 1 of the paper, transcribed.

    python3 Tests/Peers/algorithm1.py Tests/NGramsTests/Fixtures/algorithm1.json

Only the index arithmetic of forward() is kept, with the paper's own names; Python's integers have no
width. `F.pad(input_ids, i-1)` is read as a shift to the right by i - 1 places that fills with zeros.
"""

import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "tools"))
from writing import write


def pad(input_ids, i):
    return ([0] * i + input_ids)[: len(input_ids)]


def forward(input_ids, V, m, n, k):
    rows = []
    n_gram_ids = list(input_ids)
    for i in range(2, n + 1):
        shifted = pad(input_ids, i - 1)
        n_gram_ids = [a + b * V ** (i - 1) for a, b in zip(n_gram_ids, shifted)]
        for j in range(k):
            index = (i - 2) * k + j
            rows.append([x % (m + 2 * index) for x in n_gram_ids])
    return rows


def sequence(count, V, state):
    """Ids of a 32-bit linear congruential generator; every fifth is the largest id."""
    ids = []
    for t in range(count):
        state = (1664525 * state + 1013904223) % 2**32
        ids.append(V - 1 if t % 5 == 4 else state % V)
    return ids


cases = []
for V, m, n, k, count in [
    (3, 7, 3, 1, 11),
    (256, 1000, 3, 2, 23),
    (4096, 4096 * 64, 2, 4, 17),
    (50280, 12_800_000, 3, 2, 29),
    (50280, 3_200_000, 5, 1, 13),
    (100278, 12_800_000, 7, 2, 19),
]:
    input_ids = sequence(count, V, 7 * n + k)
    cases.append(
        {"V": V, "m": m, "n": n, "k": k, "input_ids": input_ids, "rows": forward(input_ids, V, m, n, k)}
    )
write(sys.argv[1], "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
