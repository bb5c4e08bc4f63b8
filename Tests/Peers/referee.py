"""An independent referee: computes every effect, interval, p and verdict of every published result once more,
from its CSV and from docs/RESULTS.md, and fails on a difference.

    python3 Tests/Peers/referee.py [results/laptop ...]

Nothing here is taken from the sources of the product: distributions are scipy's, least squares and the rest
numpy's. What the paper says and which variants are compared stands in <figure>.evidence.json.
"""
import csv
import itertools
import json
import math
import pathlib
import sys

import numpy as np
from scipy import stats

LEVEL, DOUBT, BOUND = 0.05, 0.25, 0.1
MEASURES = ("train_loss", "eval_loss", "other_loss")


# What is said ---------------------------------------------------------------------------------------------


def number(x):
    return None if x is None or not np.isfinite(x) else float(x)


def holm(p):
    """Corrected p; what has none counts as 1 in its family and stays without."""
    filled = np.array([1.0 if x is None else x for x in p])
    order = np.argsort(filled, kind="stable")
    corrected = np.empty(len(p))
    corrected[order] = np.maximum.accumulate(
        np.minimum(1, (len(p) - np.arange(len(p))) * filled[order]))
    return [None if x is None else float(c) for x, c in zip(p, corrected)]


def direction(p_holm, agrees):
    if p_holm is None or p_holm >= LEVEL:
        return "inconclusive"
    return "same direction" if agrees else "opposite direction"


class Estimate:
    """A number, its standard error with degrees of freedom, and where that comes from."""

    def __init__(self, value, error, degrees, origin):
        self.value, self.error, self.degrees, self.origin = value, error, degrees, origin

    def interval(self, confidence=0.95):
        if not np.isfinite(self.error):
            return None, None
        half = stats.t.ppf(0.5 + confidence / 2, self.degrees) * self.error if self.error > 0 else 0
        return self.value - half, self.value + half

    @property
    def p(self):
        if not np.isfinite(self.error):
            return None
        if self.error == 0:
            return 1.0 if self.value == 0 else 0.0
        return float(2 * stats.t.sf(abs(self.value) / self.error, self.degrees))

    def times(self, factor):
        return Estimate(self.value * factor, abs(factor) * self.error, self.degrees, self.origin)

    def json(self):
        low, high = self.interval()
        return {
            "value": number(self.value), "standardError": number(self.error),
            "degreesOfFreedom": number(self.degrees), "error": self.origin,
            "low": number(low), "high": number(high),
        }

    def at_once(self, confidence):
        low, high = self.interval(confidence)
        return self.json() | {"lowAtOnce": number(low), "highAtOnce": number(high)}

    def ratio(self, paper):
        if not paper:
            return None
        scaled = self.times(1 / paper)
        low, high = scaled.interval()
        return {"value": number(scaled.value), "low": number(low), "high": number(high)}


def near(estimate, p_holm, seeds):
    """{} where a verdict is not near, else what would settle it."""
    p = estimate.p
    if p is None or p_holm is None or not 0.01 <= p_holm < 0.25 or p == 0 or seeds < 2 or estimate.error == 0:
        return {}
    spread = estimate.error * math.sqrt(seeds)
    for n in range(max(seeds + 1, 5), 31):
        degrees = estimate.degrees / (seeds - 1) * (n - 1)
        t = abs(estimate.value) / (spread / math.sqrt(n))
        if 2 * stats.t.sf(t, degrees) * p_holm / p < 0.01:
            return {"near": {"seedsToSettle": n}}
    return {"near": {"seedsToSettle": None}}


# Contrasts of variants over seeds -------------------------------------------------------------------------


class Losses:
    """Losses by seed, then variant."""

    def __init__(self, y):
        self.y = np.asarray(y, float)
        self.seeds, self.variants = self.y.shape
        self.means = self.y.mean(0)
        residuals = self.y - self.y.mean(1, keepdims=True) - self.means + self.y.mean()
        self.degrees = (self.seeds - 1) * (self.variants - 1)
        self.squares = (residuals**2).sum()
        self.variance = self.squares / self.degrees if self.degrees else math.inf
        self.bartlett = 1.0
        if self.degrees:
            each = (residuals**2).sum(0) / (self.seeds - 1)
            k, nu = self.variants, self.seeds - 1
            if each.max() > 0:
                statistic = nu * (k * math.log(each.mean()) - np.log(each).sum())
                statistic /= 1 + (k + 1) / (3 * k * nu)
                self.bartlett = float(stats.chi2.sf(max(0, statistic), k - 1))

    def pooled(self, h, extra=0.0):
        error = self.variance * (h @ h) / self.seeds
        return Estimate(h @ self.means, math.sqrt(error), self.degrees, "pooled")

    def own(self, h):
        values = self.y @ h
        error = values.std(ddof=1) / math.sqrt(self.seeds) if self.seeds > 1 else math.inf
        return Estimate(h @ self.means, error, self.seeds - 1, "own")

    def contrast(self, h):
        h = np.asarray(h, float)
        scatter = 1.0
        others = (self.seeds - 1) * (self.variants - 2)
        if self.seeds > 1 and others > 0:
            along = (self.y @ h).var(ddof=1) / (h @ h)
            rest = (self.squares - along * (self.seeds - 1)) / others
            scatter = stats.f.sf(along / rest, self.seeds - 1, others)
        doubtful = self.bartlett < DOUBT or scatter < DOUBT
        return self.own(h) if doubtful else self.pooled(h)

    def difference(self, i, j):
        h = np.zeros(self.variants)
        h[i], h[j] = 1, -1
        return self.contrast(h)


# Text -----------------------------------------------------------------------------------------------------


def by_seed(rows, seeds, names, column, key):
    """Losses by seed, then variant."""
    found = {(int(r["seed"]), key(r)): float(r[column]) for r in rows}
    return [[found[seed, name] for name in names] for seed in seeds]


def table(rows, parameters):
    names = [v["name"] for v in parameters["variants"]]
    losses = {
        m: Losses(by_seed(rows, parameters["seeds"], names, m, lambda r: r["model"])) for m in MEASURES
    }
    paper = parameters["paper"]
    comparisons = []
    for claim in parameters["comparisons"]:
        pair = names.index(claim["variant"]), names.index(claim["against"])
        comparisons.append((claim, {m: losses[m].difference(*pair) for m in MEASURES}))
    corrected = {m: holm([e[m].p for _, e in comparisons]) for m in MEASURES}
    result = []
    for i, (claim, estimates) in enumerate(comparisons):
        judged = {"model": claim["variant"], "against": claim["against"], "statement": claim["says"]}
        for m in MEASURES:
            e, p = estimates[m], corrected[m][i]
            sides = [paper.get(claim[side], {}).get(m) for side in ("variant", "against")]
            stated = None if None in sides else sides[0] - sides[1]
            verdict = direction(p, (e.value < 0) == (claim["says"] == "better"))
            judged[m] = e.json() | {
                "p": e.p, "pHolm": p, "paper": stated, "verdict": verdict,
                "ratioToPaper": e.ratio(stated) if stated is not None else None,
            }
        judged["verdict"] = judged["train_loss"]["verdict"]
        judged |= near(estimates["train_loss"], corrected["train_loss"][i], len(parameters["seeds"]))
        result.append(judged)
    return {
        "comparisons": result,
        "equalVariances": {m: losses[m].bartlett for m in MEASURES},
        "rows": [
            {m: {"mean": losses[m].means[i], "perSeed": losses[m].y[:, i].tolist()} for m in MEASURES}
            for i in range(len(names))
        ],
    }


def regression(columns, losses):
    """Least squares over the means: the hat of the means, row j of (X'X)⁻¹X', and a judge of contrasts."""
    x = np.column_stack(columns)
    inverse = np.linalg.pinv(x)
    residuals = losses.means - x @ inverse @ losses.means
    free = len(losses.means) - x.shape[1]
    scatter = (residuals @ residuals) / free

    def widest(h):
        value, total = h @ losses.means, h.sum()
        if abs(total) < 1e-9 * np.abs(h).sum():
            total = 0
        shared = total**2 * losses.y.mean(1).var(ddof=1) / losses.seeds if losses.seeds > 1 else 0
        candidates = [("fit", scatter * (h @ h), free)]
        if losses.degrees:
            rest = h @ h - total**2 / len(h)
            candidates.append(("pooled", losses.variance * rest / losses.seeds, losses.degrees))
        estimates = []
        for origin, variance, degrees in candidates:
            parts = [(v, d) for v, d in ((shared, losses.seeds - 1), (variance, degrees)) if v > 0]
            sum_ = sum(v for v, _ in parts)
            degrees = sum_**2 / sum(v * v / d for v, d in parts)
            estimates.append(Estimate(value, math.sqrt(sum_), degrees, origin))
        if losses.degrees:
            estimates.append(losses.own(h))
        return max(estimates, key=lambda e: e.interval()[1] - e.value)

    return x, inverse, residuals, scatter, free, widest


def law(rows, parameters):
    variants = parameters["variants"]
    m = [v["tables"][0]["rows"] if v["tables"] else 0 for v in variants]
    size = [v["tokenRows"] + r for v, r in zip(variants, m)]
    paper = {k: v for group in parameters["paper"].values() for k, v in group.items()}
    return {
        "fits": {
            measure: law_of(
                Losses(by_seed(rows, parameters["seeds"], m, measure, lambda r: int(r["m"]))),
                m, size, paper.get("b"), len(parameters["seeds"]), m.index(0))
            for measure in MEASURES
        }
    }


def law_of(losses, m, size, paper_b, seeds, baseline):
    x = np.log10(np.array(size, float))
    ones, extent = np.ones_like(x), x.max() - x.min()
    design, inverse, residuals, scatter, free, widest = regression([ones, x], losses)
    a, b = widest(inverse[0]), widest(inverse[1]).times(-1)
    z = x - x.mean()
    _, bent, _, _, _, widest_bent = regression([ones, z, z * z], losses)
    fall = b.value * extent
    sag = losses.contrast(bent[2]).times(extent / (4 * b.value))
    lack = losses.seeds * scatter / losses.variance
    lack_p = float(stats.f.sf(lack, free, losses.degrees))
    hat = design @ inverse
    departures = [losses.contrast(np.eye(len(x))[i] - hat[i]).times(1 / fall) for i in range(len(x))]
    order = np.argsort(x)
    steps = [losses.difference(j, i) for i, j in zip(order, order[1:])]
    at_once = 1 - LEVEL / len(x), 1 - LEVEL / len(steps)

    p = [b.p, lack_p]
    corrected = holm(p)
    beyond = lambda low, high: low > BOUND or high < -BOUND
    low, high = sag.interval()
    if b.interval()[0] <= 0:
        shape = "inconclusive"
    elif corrected[1] < LEVEL and (
            beyond(low, high) or any(beyond(*d.interval(at_once[0])) for d in departures)):
        shape = "not reproduced"
    elif low > -BOUND and high < BOUND and all(abs(d.value) < BOUND for d in departures):
        shape = "reproduced"
    else:
        shape = "inconclusive"
    if all(s.interval()[1] < 0 for s in steps):
        monotone = "reproduced"
    elif any(s.interval(at_once[1])[0] > 0 for s in steps):
        monotone = "not reproduced"
    else:
        monotone = "inconclusive"
    worst = max(steps, key=lambda s: s.interval()[1])

    others = [i for i in range(len(x)) if i != baseline]
    few = Losses(losses.y[:, others])
    _, few_inverse, few_rest, _, _, few_widest = regression([ones[others], x[others]], few)
    spread = lambda y: ((y - y.mean()) ** 2).sum()
    return {
        "a": a.json(), "b": b.json(), "rSquared": 1 - residuals @ residuals / spread(losses.means),
        "lossPerFactor4": b.times(-math.log10(4)).json(), "ratioToPaper": b.ratio(paper_b),
        "curvature": {"quadratic": widest_bent(bent[2]).json(), "sag": sag.json()},
        "lackOfFit": {"f": lack, "p": lack_p, "degreesOfFreedom": [free, losses.degrees]},
        "equalVariances": losses.bartlett,
        "departures": [d.at_once(at_once[0]) for d in departures],
        "steps": [s.at_once(at_once[1]) for s in steps],
        "range": [min(size), max(size)],
        "withoutBaseline": {
            "b": few_widest(few_inverse[1]).times(-1).json(),
            "rSquared": 1 - few_rest @ few_rest / spread(few.means),
        },
        "points": [
            {
                "m": m[i], "inputVocabulary": size[i], "mean": losses.means[i],
                "perSeed": losses.y[:, i].tolist(),
                "difference": None if i == baseline else losses.difference(i, baseline).json(),
            } for i in range(len(x))
        ],
        "claims": [
            {"estimate": b.json(), "p": p[0], "pHolm": corrected[0],
             "verdict": direction(corrected[0], b.value > 0)} | near_law(b, corrected[0], seeds),
            {"estimate": sag.json(), "p": p[1], "pHolm": corrected[1], "verdict": shape},
            {"estimate": worst.json(), "p": None, "pHolm": None, "verdict": monotone},
        ],
    }


def near_law(b, p_holm, seeds):
    """More seeds do not narrow an interval that the lack of fit makes."""
    found = near(b, p_holm, seeds)
    return {"near": {"seedsToSettle": None}} if found and b.origin == "fit" else found


def curves(rows, parameters):
    baseline = [v["name"] for v in parameters["variants"]].index(parameters["baseline"])
    m = [v["tables"][0]["rows"] if v["tables"] else 0 for v in parameters["variants"]]
    seeds, stretch = parameters["seeds"], parameters["stretch"]

    def mean(seed, own, low, high):
        """Token-weighted mean over the points that end in the part."""
        mine = [r for r in rows if int(r["seed"]) == seed and (int(r["m"]) == own or own == 0)]
        if own == 0:
            mine = [r for r in mine if r["m"] == mine[0]["m"]]
        tokens = np.diff([0] + [int(r["tokens"]) for r in mine])
        loss = np.array([float(r["loss" if own else "baseline_loss"]) for r in mine])
        share = np.array([int(r["step"]) for r in mine]) / int(mine[-1]["step"])
        inside = (share > low) & (share <= high)
        return float((loss * tokens)[inside].sum() / tokens[inside].sum())

    def part(low, high):
        return np.array([[mean(s, own, low, high) for own in m] for s in seeds])

    end = part(1 - stretch, 1)
    growth, late = Losses(end - part(0.4, 0.5)), Losses(end - part(0.7, 0.8))
    tenths = [Losses(part((t - 1) / 10, t / 10)) for t in range(1, 11)]
    others = [i for i in range(len(m)) if i != baseline]
    smallest, largest = min(others, key=lambda i: m[i]), max(others, key=lambda i: m[i])
    estimates = [g.difference(largest, smallest) for g in (growth, late)]
    corrected = holm([e.p for e in estimates])
    return {
        "curves": [
            {"differenceByTenth": [t.difference(i, baseline).json() for t in tenths],
             "growth": growth.difference(i, baseline).json(), "m": m[i],
             "growthLate": late.difference(i, baseline).json()} for i in others
        ],
        "claims": [
            {"estimate": e.json(), "p": e.p, "pHolm": p, "verdict": direction(p, e.value < 0)}
            | near(e, p, len(seeds)) for e, p in zip(estimates, corrected)
        ],
    }


# Grammars -------------------------------------------------------------------------------------------------


class Run:
    """The curve of one variant, size and seed."""

    def __init__(self, rows):
        column = lambda name: np.array([float(r[name]) for r in rows])
        self.sentences, self.accuracy = column("sentences"), column("accuracy")
        self.excess, self.last = column("excess_nats_per_char"), rows[-1]

    def reached(self, values, level, rising):
        """("at", sentences, ln of the snapshot after over the one before) or ("before" | "after", sentences)"""
        hit = np.nonzero(values >= level if rising else values <= level)[0]
        if not len(hit):
            return "after", float(self.sentences[-1])
        k = hit[0]
        if k == 0:
            return "before", float(self.sentences[0])
        share = (level - values[k - 1]) / (values[k] - values[k - 1])
        a, b = np.log(self.sentences[k - 1: k + 1])
        if share == 1:
            return "at", float(self.sentences[k]), 0.0
        return "at", float(np.exp(a + share * (b - a))), float(b - a)

    @property
    def last_doubling(self):
        half = self.sentences[-1] / 2
        if half < self.sentences[0]:
            return None
        return float(np.interp(math.log(half), np.log(self.sentences), self.excess) - self.excess[-1])

    def score(self, name):
        """A score at the end and its standard error."""
        z = 2 * stats.norm.ppf(0.975)
        cell = lambda key: float(self.last.get(key) or "nan")
        if name.startswith("accuracy"):
            return cell(name), (cell(name + "_high") - cell(name + "_low")) / z
        return cell(name), cell({"excess_nats_per_char": "excess_error"}.get(name, name + "_error"))


def earlier(a, b):
    """Whether a time is surely before another."""
    (how_a, x), (how_b, y) = a[:2], b[:2]
    if how_a == "after" or how_b == "before":
        return False
    return x <= y if how_b == "after" else x < y


def gehan(times, baseline):
    runs = times + baseline
    scores = [sum(earlier(o, r) for o in runs) - sum(earlier(r, o) for o in runs) for r in runs]
    own = sum(scores[: len(times)])
    if len(times) > 10:
        return own, None
    sums = [sum(chosen) for chosen in itertools.combinations(scores, len(times))]
    return own, sum(abs(s) >= abs(own) for s in sums) / len(sums)


class Times:
    """Times of a variant against its baseline's."""

    def __init__(self, times, baseline):
        self.times, self.baseline = times, baseline
        logs = np.array([math.log(t[1] / b[1]) for t, b in zip(times, baseline)])
        self.estimate = self.most = self.least = None
        self.resolution = 0.0
        kinds = [{time[0] for time in side} for side in (times, baseline)]
        if kinds == [{"at"}, {"at"}]:
            error = logs.std(ddof=1) / math.sqrt(len(logs)) if len(logs) > 1 else math.inf
            self.estimate = Estimate(logs.mean(), error, len(logs) - 1, "own")
            gaps = np.array([time[2] for time in times + baseline])
            self.resolution = math.sqrt((gaps**2).sum() / 12) / len(times)
            self.side, self.p = self.estimate.value, self.estimate.p
            if self.p is not None and self.resolution > 0:
                self.p = max(self.p, float(2 * stats.norm.sf(abs(self.side) / self.resolution)))
            return
        if "after" not in kinds[0] and "before" not in kinds[1]:
            self.most = math.exp(logs.mean())
        if "before" not in kinds[0] and "after" not in kinds[1]:
            self.least = math.exp(logs.mean())
        self.side, self.p = gehan(times, baseline)

    def json(self, statement, p_holm):
        exp = lambda x: None if x is None else math.exp(x)
        low, high = self.estimate.interval() if self.estimate else (None, None)
        if low is not None:
            half = max(high - self.side, stats.norm.ppf(0.975) * self.resolution)
            low, high = self.side - half, self.side + half
        return {
            "resolution": self.resolution, "ratio": exp(self.estimate.value) if self.estimate else None, "low": exp(low),
            "high": exp(high), "atMost": self.most, "atLeast": self.least, "p": self.p, "pHolm": p_holm,
            "model": [{time[0]: time[1]} for time in self.times],
            "baseline": [{time[0]: time[1]} for time in self.baseline],
            "verdict": direction(
                p_holm, self.side < 0 if statement == "better" else self.side > 0),
        }


class Difference:
    """Of a score at the end, paired over seeds."""

    def __init__(self, variant, baseline, name):
        a, b = ([run.score(name) for run in runs] for runs in (variant, baseline))
        self.known = all(np.isfinite(score) for score, _ in a + b)
        self.each = [x[0] - y[0] for x, y in zip(a, b)]
        variance = sum(error**2 for _, error in a + b)
        n = len(self.each)
        self.sampling = math.sqrt(variance) / n if np.isfinite(variance) else 0.0
        error = np.std(self.each, ddof=1) / math.sqrt(n) if n > 1 else math.inf
        self.estimate = Estimate(np.mean(self.each), error, n - 1, "own")
        self.p = self.estimate.p
        if self.p is not None and self.sampling > 0:
            self.p = max(self.p, float(2 * stats.norm.sf(abs(self.estimate.value) / self.sampling)))
        self.larger_is_better = name.startswith("accuracy")

    def json(self, statement, p_holm):
        low, high = self.estimate.interval()
        value, floor = self.estimate.value, stats.norm.ppf(0.975) * self.sampling
        if low is not None:
            half = max(high - value, floor)
            low, high = value - half, value + half
        return {
            "effect": value, "low": number(low), "high": number(high), "perSeed": self.each,
            "samplingError": self.sampling, "p": self.p, "pHolm": p_holm,
            "verdict": direction(
                p_holm, ((statement == "better") == self.larger_is_better) == (value > 0)),
        }


def figure(rows, parameters):
    found = {}
    for row in rows:
        found.setdefault((row["model"], row["size"], int(row["seed"])), {})[int(row["step"])] = row
    runs = {key: Run([points[step] for step in sorted(points)]) for key, points in found.items()}
    seeds, claims = parameters["seeds"], parameters["claims"]
    sides = [
        [[runs[c[side], c["size"], seed] for seed in seeds] for side in ("variant", "baseline")]
        for c in claims
    ]
    names = ("accuracy", "excess_nats_per_char", "accuracy_unseen", "excess_unseen")
    ends = {name: [Difference(*pair, name) for pair in sides] for name in names}
    goals = {"excess": [], "accuracy50": [], "accuracy90": []}
    for variant, baseline in sides:
        levels = [max(v.excess[-1], b.excess[-1]) for v, b in zip(variant, baseline)]
        goals["excess"].append(Times(*(
            [run.reached(run.excess, level, False) for run, level in zip(side, levels)]
            for side in (variant, baseline))))
        for goal, level in (("accuracy50", 0.5), ("accuracy90", 0.9)):
            goals[goal].append(Times(*(
                [run.reached(run.accuracy, level, True) for run in side]
                for side in (variant, baseline))))
    deciding = holm([d.p for d in ends["accuracy"]] + [t.p for t in goals["excess"]])
    corrected = {name: holm([d.p if d.known else None for d in ends[name]]) for name in names}
    corrected |= {goal: holm([t.p for t in goals[goal]]) for goal in ("accuracy50", "accuracy90")}
    corrected["accuracy"], corrected["excess"] = deciding[: len(claims)], deciding[len(claims):]

    result = []
    for i, claim in enumerate(claims):
        says = claim["statement"]
        score = lambda name: ends[name][i].json(says, corrected[name][i])
        speed = {goal: goals[goal][i].json(says, corrected[goal][i]) for goal in goals}
        speed["verdict"] = speed["excess"]["verdict"]
        if goals["excess"][i].estimate:
            speed |= near_end(goals["excess"][i], corrected["excess"][i], len(seeds))
        falls = [[run.last_doubling for run in side] for side in sides[i]]
        falls = [None if None in side else float(np.mean(side)) for side in falls]
        judged = {
            "model": claim["variant"], "baseline": claim["baseline"], "size": claim["size"],
            "statement": says, "accuracy": score("accuracy"),
            "excessNatsPerCharacter": score("excess_nats_per_char"), "speed": speed,
            "lastDoubling": {"ofModel": falls[0], "ofBaseline": falls[1]},
            "settled": None if None in falls else
            bool(max(falls) < abs(ends["excess_nats_per_char"][i].estimate.value)),
        }
        judged["verdict"] = judged["accuracy"]["verdict"]
        end = ends["accuracy"][i]
        judged |= near_end(end, corrected["accuracy"][i], len(seeds))
        if ends["accuracy_unseen"][i].known:
            judged["unseen"] = {
                "accuracy": score("accuracy_unseen"), "excessNatsPerCharacter": score("excess_unseen")}
        result.append(judged)
    return {"claims": result, "curves": final_scores(runs, parameters)}


def near_end(end, p_holm, seeds):
    """With the p of the interval that counts, be it the sampling noise's."""
    estimate = end.estimate
    shown = Estimate(estimate.value, estimate.error, estimate.degrees, "own")
    if end.p is None or p_holm is None or not 0.01 <= p_holm < 0.25 or end.p == 0 or shown.error == 0:
        return {}
    for n in range(max(seeds + 1, 5), 31):
        t = abs(shown.value) / (shown.error * math.sqrt(seeds) / math.sqrt(n))
        if 2 * stats.t.sf(t, n - 1) * p_holm / end.p < 0.01:
            return {"near": {"seedsToSettle": n}}
    return {"near": {"seedsToSettle": None}}


def final_scores(runs, parameters):
    result = []
    names = list(dict.fromkeys(
        [v for panel in parameters["panels"] for v in panel["variants"]]
        + [c[side] for c in parameters["claims"] for side in ("baseline", "variant")]))
    for name in names:
        for size in parameters["sizes"]:
            own = [runs[name, size, seed] for seed in parameters["seeds"]]
            scores = {key: [run.score(key)[0] for run in own]
                      for key in ("accuracy", "excess_nats_per_char", "accuracy_unseen", "excess_unseen")}
            falls = [run.last_doubling for run in own]
            curve = {
                "model": name, "size": size, "accuracy": np.mean(scores["accuracy"]),
                "accuracyPerSeed": scores["accuracy"],
                "excessNatsPerCharacter": np.mean(scores["excess_nats_per_char"]),
                "excessPerSeed": scores["excess_nats_per_char"],
                "steps": int(own[0].last["step"]), "sentences": int(own[0].last["sentences"]),
                "parameters": int(own[0].last["parameters"]),
                "lastDoubling": None if None in falls else np.mean(falls),
            }
            if np.isfinite(scores["accuracy_unseen"]).all():
                curve["unseen"] = {
                    "accuracy": np.mean(scores["accuracy_unseen"]),
                    "excessNatsPerCharacter": np.mean(scores["excess_unseen"]),
                    "heldoutShare": np.mean([float(r.last["heldout_unseen_share"]) for r in own]),
                }
            result.append(curve)
    return result


# Comparing ------------------------------------------------------------------------------------------------

# Members that no computation makes: words, configurations, ids.
WORDS = {"configuration", "panel", "paper", "statement", "method", "description"}
ROW_WORDS = WORDS | {"model", "parameters", "tableParameters", "rows", "inputVocabulary"}


def differences(expected, found, place, words=WORDS):
    """Where two results differ: numbers by more than a millionth, all else at all."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in sorted(set(expected) | set(found)):
            if key not in found or key not in expected:
                if key not in words:
                    yield f"{place}/{key}: {'published' if key in found else 'computed'} alone"
            elif key not in words or not isinstance(expected[key], (dict, list)):
                yield from differences(expected[key], found[key], f"{place}/{key}", words)
    elif isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            yield f"{place}: computed {len(expected)}, published {len(found)}"
        for i, (a, b) in enumerate(zip(expected, found)):
            yield from differences(a, b, f"{place}/{i}", words)
    elif isinstance(expected, (int, float)) and not isinstance(expected, bool) and isinstance(
            found, (int, float)) and not isinstance(found, bool):
        if not math.isclose(expected, found, rel_tol=1e-6, abs_tol=1e-9):
            yield f"{place}: computed {expected!r}, published {found!r}"
    elif not (expected is found or (type(expected) is type(found) and expected == found)):
        yield f"{place}: computed {expected!r}, published {found!r}"


def judge(folder, name):
    """Every difference between what is published of a figure and what its CSV says."""
    path = pathlib.Path(folder) / name
    published = json.loads(path.with_suffix(".json").read_text())
    parameters = json.loads(pathlib.Path(f"{path}.evidence.json").read_text())["parameters"]
    with open(path.with_suffix(".csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    kinds = {"scalingLaw": law, "lossCurves": curves, "ablation": table}
    compute = kinds.get(parameters.get("report", parameters.get("kind")), figure)
    computed = compute(rows, parameters)
    if compute is not curves and compute is not law:
        claims = [c for c in computed.get("claims", []) + computed.get("comparisons", []) if "verdict" in c]
    else:
        claims = computed.get("claims") or [c for f in computed["fits"].values() for c in f["claims"]]
    found = []
    for key, value in computed.items():
        words = ROW_WORDS if key == "rows" or (compute is curves and key == "curves") else WORDS
        found += differences(value, published.get(key), f"{path}.json:{key}", words)
    return len(claims), found


def main(folders):
    failed = 0
    for folder in folders or sorted({str(p.parent) for p in pathlib.Path("results").glob("*/*.evidence.json")}):
        for evidence in sorted(pathlib.Path(folder).glob("*.evidence.json")):
            name = evidence.name.removesuffix(".evidence.json")
            claims, found = judge(folder, name)
            failed += len(found)
            print(f"{folder}/{name}: {claims} claims, {'agreed' if not found else f'{len(found)} differences'}")
            for line in found[:40]:
                print("  " + line)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
