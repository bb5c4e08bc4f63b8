"""The referee's figures over grammars: two verdicts a claim, of curves over sentences."""
import itertools
import math

import numpy as np
from referee_rules import Estimate, direction, holm, number
from scipy import stats

def reached(places, values, level, rising):
    """("at", place, ln of the point after over the one before) or ("before" | "after", place)"""
    places, values = np.asarray(places, float), np.asarray(values, float)
    hit = np.nonzero(values >= level if rising else values <= level)[0]
    if not len(hit):
        return "after", float(places[-1])
    k = hit[0]
    if k == 0:
        return "before", float(places[0])
    share = (level - values[k - 1]) / (values[k] - values[k - 1])
    a, b = np.log(places[k - 1: k + 1])
    if share == 1:
        return "at", float(places[k]), 0.0
    return "at", float(np.exp(a + share * (b - a))), float(b - a)


class Run:
    """The curve of one variant, size and seed."""

    def __init__(self, rows):
        column = lambda name: np.array([float(r[name]) for r in rows])
        self.sentences, self.accuracy = column("sentences"), column("accuracy")
        self.excess, self.last = column("excess_nats_per_char"), rows[-1]

    def reached(self, values, level, rising):
        return reached(self.sentences, values, level, rising)

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


class Paired:
    """The difference of scores with their errors, paired over seeds."""

    def __init__(self, a, b, larger_is_better):
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
        self.larger_is_better = larger_is_better

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
    ends = {
        name: [
            Paired(*([run.score(name) for run in runs] for runs in pair), name.startswith("accuracy"))
            for pair in sides]
        for name in names}
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
