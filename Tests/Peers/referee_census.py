"""Figures of corpora and vocabularies alone: counts without intervals, judged by docs/RESULTS.md."""
import itertools
import math

BYTES = 16  # of an element in training: weight, gradient and two moments
SHOWN = (0, 10, 100, 1000)


def counted(holds):
    """The verdict of a statement that is true or not at each of several steps."""
    if not holds or any(holds) != all(holds):
        return "inconclusive"
    return "reproduced" if all(holds) else "not reproduced"


def exponent(a, b):
    """b of f-grams ~ tokens^b between two points."""
    if a[1] == 0:
        return None
    return math.log(b[1] / a[1]) / math.log(b[0] / a[0])


def discovery(rows, _):
    curves = {}
    for r in rows:
        curves.setdefault(int(r["length"]), []).append((int(r["tokens"]), int(r["f_grams"])))
    curves = {length: sorted(points) for length, points in sorted(curves.items())}
    return {
        "census": [
            {"length": length, "tokens": points[-1][0], "fGrams": points[-1][1],
             "exponent": exponent(points[0], points[-1]), "lastExponent": exponent(*points[-2:])}
            for length, points in curves.items()
        ],
        "claims": [],
    }


def updates(rows, parameters):
    shares, sizes = {}, {}
    for r in rows:
        size = int(r["vocabulary"])
        shares.setdefault(size, {})[int(r["threshold"])] = int(r["tokens_above"]) / size
        sizes[size] = int(r["tokens"])
    order = sorted(shares)
    pairs = [
        (shares[a][t], shares[b][t]) for a, b in itertools.pairwise(order) for t in shares[a] if t > 0
    ]
    return {
        "census": [
            {"vocabulary": size, "tokens": sizes[size], "elements": size * parameters["width"],
             "trainingBytes": BYTES * size * parameters["width"]}
            | {f"above{t}": shares[size][t] for t in SHOWN if t in shares[size]}
            for size in order
        ],
        "claims": [{"verdict": counted([b < a for a, b in pairs if a != b])}],
    }
