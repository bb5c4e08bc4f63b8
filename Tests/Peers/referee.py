"""An independent referee: computes every effect, interval, p and verdict of every published result once more,
from its CSV and from docs/RESULTS.md, and fails on a difference.

    python3 Tests/Peers/referee.py [results/laptop ...]

Nothing here is taken from the sources of the product: distributions are scipy's, least squares and the rest
numpy's. What the paper says and which variants are compared stands in <figure>.evidence.json.
"""
import csv
import json
import math
import pathlib
import sys

import numpy as np
from referee_census import discovery, updates
from referee_grammars import Paired, Times, figure, near_end, reached
from referee_rules import BOUND, LEVEL, Estimate, Losses, direction, holm, near
from scipy import stats

MEASURES = ("train_loss", "eval_loss", "other_loss")
# Of vocabularies of several sizes, whose tokens are not each other's.
BITS = ("eval_bits_per_byte", "other_bits_per_byte")


# Text -----------------------------------------------------------------------------------------------------


def by_seed(rows, seeds, names, column, key):
    """Losses by seed, then variant."""
    found = {(int(r["seed"]), key(r)): float(r[column]) for r in rows}
    return [[found[seed, name] for name in names] for seed in seeds]


def table(rows, parameters):
    names = [v["name"] for v in parameters["variants"]]
    measures = BITS if parameters["report"] == "vocabularies" else MEASURES
    losses = {
        m: Losses(by_seed(rows, parameters["seeds"], names, m, lambda r: r["model"])) for m in measures
    }
    paper = parameters["paper"]
    comparisons = []
    for claim in parameters["comparisons"]:
        pair = names.index(claim["variant"]), names.index(claim["against"])
        comparisons.append((claim, {m: losses[m].difference(*pair) for m in measures}))
    corrected = {m: holm([e[m].p for _, e in comparisons]) for m in measures}
    baseline = [r for r in rows if r["model"] == parameters["baseline"]]
    result = []
    for i, (claim, estimates) in enumerate(comparisons):
        judged = {"model": claim["variant"], "against": claim["against"], "statement": claim["says"]}
        for m in measures:
            e, p = estimates[m], corrected[m][i]
            sides = [paper.get(claim[side], {}).get(m) for side in ("variant", "against")]
            stated = None if None in sides else sides[0] - sides[1]
            verdict = direction(p, (e.value < 0) == (claim["says"] == "better"))
            judged[m] = e.json() | {
                "p": e.p, "pHolm": p, "paper": stated, "verdict": verdict,
                "ratioToPaper": e.ratio(stated) if stated is not None else None,
            }
        judged["verdict"] = judged[measures[0]]["verdict"]
        judged |= near(estimates[measures[0]], corrected[measures[0]][i], len(parameters["seeds"]))
        result.append(judged)
    further = {"spacings": spacings(losses, parameters)} if parameters.get("spacings") else {}
    return further | {
        "comparisons": result,
        "equalVariances": {m: losses[m].bartlett for m in measures},
        "rows": [
            {m: {"mean": losses[m].means[i], "perSeed": losses[m].y[:, i].tolist()} for m in measures}
            | matched(next(r for r in rows if r["model"] == names[i])) for i in range(len(names))
        ],
    } | counting(baseline, rows, parameters, lambda r: r["model"])


def matched(row):
    """Tokens that a position stands for, where f-grams are among the variants."""
    return {"matchLength": float(row["match_length"])} if "match_length" in row else {}


def spacings(losses, parameters):
    """How far the middle of three variants lies above the line of the others over log(V + m)."""
    names = [v["name"] for v in parameters["variants"]]
    sizes = [v["tokenRows"] + (v["tables"][0]["rows"] if v["tables"] else 0) for v in parameters["variants"]]
    result = []
    for of in parameters["spacings"]:
        models = [of["from"], of["middle"], of["to"]]
        a, b, c = (names.index(m) for m in models)
        share = math.log(sizes[b] / sizes[a]) / math.log(sizes[c] / sizes[a])
        judged = {"models": models}
        for m in MEASURES:
            h = np.zeros(len(names))
            h[a], h[b], h[c] = share - 1, 1, -share
            fall = losses[m].difference(a, c)
            sag = losses[m].contrast(h).times(1 / fall.value)
            (low, high), (least, _) = sag.interval(), fall.interval()
            verdict = "inconclusive"
            if None not in (low, least) and least > 0:
                if low > BOUND or high < -BOUND:
                    verdict = "not reproduced"
                elif -BOUND < low and high < BOUND:
                    verdict = "reproduced"
            judged[m] = sag.json() | {"fall": fall.json(), "verdict": verdict}
        result.append(judged)
    return result


def counting(baseline, rows, parameters, name):
    """The baseline beside Kneser-Ney models of the same text; {} for a CSV without them."""
    orders = [n for n in range(2, 9) if f"kn{n}_eval_loss" in rows[0]]
    if not orders:
        return {}
    first = {int(r["seed"]): r for r in reversed(baseline)}
    each = [first[seed] for seed in parameters["seeds"]]

    def column(key):
        values = [float(r[key]) for r in each]
        return {"mean": float(np.mean(values)), "perSeed": values}

    reference = max((n for n in orders if n <= 4), default=orders[0])
    losses = Losses([[float(r["eval_loss"]), float(r[f"kn{reference}_eval_loss"])] for r in each])
    difference = losses.difference(0, 1)
    high = difference.interval()[1]
    tables = {v["name"]: v["tables"] for v in parameters["variants"]}
    by_rows = {str(t[0]["rows"] if t else 0): t for t in tables.values()}
    distinct = {}
    for r in rows:
        own = tables[name(r)] if "model" in r else by_rows[name(r)]
        if own:
            distinct.setdefault(own[0]["order"], {})[int(r["seed"])] = int(r["distinct_grams"])
    return {"counting": {
        "underTrained": not (high is not None and high < 0), "reference": reference,
        "difference": difference.json(),
        "orders": [
            {"order": n, "eval_loss": column(f"kn{n}_eval_loss"), "other_loss": column(f"kn{n}_other_loss")}
            for n in orders
        ],
        "distinct": [
            {"order": n, "perSeed": [distinct[n][s] for s in parameters["seeds"]]} for n in sorted(distinct)
        ],
        "overlap": {s: column(f"{s}_overlap")["mean"] for s in ("eval", "other")},
    }}


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
    # Rows beyond the distinct n-grams of the pass are never read: such sizes are not fitted.
    counted = "distinct_grams" in rows[0]
    beyond = {int(r["m"]) for r in rows if counted and int(r["m"]) > int(r["distinct_grams"])}
    fitted = [i for i in range(len(m)) if m[i] not in beyond]
    fitted = fitted if len(fitted) >= 4 else list(range(len(m)))
    baseline = [r for r in rows if r["m"] == "0"]
    return {
        "fits": {
            measure: law_of(
                Losses(by_seed(rows, parameters["seeds"], m, measure, lambda r: int(r["m"]))),
                m, size, fitted, paper.get("b"), len(parameters["seeds"]), m.index(0))
            | ({"fitted": [m[i] for i in fitted]} if counted else {})
            for measure in MEASURES
        }
    } | counting(baseline, rows, parameters, lambda r: r["m"])


def law_of(everything, m, size, fitted, paper_b, seeds, baseline):
    every_m, every_size, every_baseline = m, size, baseline
    losses = Losses(everything.y[:, fitted])
    m, size, baseline = [m[i] for i in fitted], [size[i] for i in fitted], fitted.index(baseline)
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
        "equalVariances": everything.bartlett,
        "departures": [d.at_once(at_once[0]) for d in departures],
        "steps": [s.at_once(at_once[1]) for s in steps],
        "range": [min(size), max(size)],
        "withoutBaseline": {
            "b": few_widest(few_inverse[1]).times(-1).json(),
            "rSquared": 1 - few_rest @ few_rest / spread(few.means),
        },
        "points": [
            {
                "m": every_m[i], "inputVocabulary": every_size[i], "mean": everything.means[i],
                "perSeed": everything.y[:, i].tolist(),
                "difference": None if i == every_baseline
                else everything.difference(i, every_baseline).json(),
            } for i in range(len(every_m))
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
    # Older results name no model: of those every m is another.
    key = "model" if "model" in rows[0] else "m"
    names = [v["name"] for v in parameters["variants"]] if key == "model" else [str(n) for n in m]
    seeds, stretch = parameters["seeds"], parameters["stretch"]

    def mean(seed, own, low, high):
        """Token-weighted mean over the points that end in the part, of a position of `names`."""
        name = names[own] if own != baseline else next(n for n in names if n != names[baseline])
        mine = [r for r in rows if int(r["seed"]) == seed and r[key] == name]
        tokens = np.diff([0] + [int(r["tokens"]) for r in mine])
        loss = np.array([float(r["baseline_loss" if own == baseline else "loss"]) for r in mine])
        share = np.array([int(r["step"]) for r in mine]) / int(mine[-1]["step"])
        inside = (share > low) & (share <= high)
        return float((loss * tokens)[inside].sum() / tokens[inside].sum())

    def part(low, high):
        return np.array([[mean(s, own, low, high) for own in range(len(m))] for s in seeds])

    def times(variant):
        """Tokens until the level of the one that ended worse, of variant and baseline, by seed."""
        pairs = []
        for seed in seeds:
            sides = variant, baseline
            level = max(mean(seed, own, 1 - stretch, 1) for own in sides)
            steps = [r for r in rows if int(r["seed"]) == seed and r[key] == names[variant]]
            last = int(steps[-1]["step"])
            places = [(int(r["tokens"]), int(r["step"]) / last) for r in steps]
            places = [(x, share) for x, share in places if share - stretch >= 0]
            pairs.append([
                reached([x for x, _ in places], [mean(seed, own, s - stretch, s) for _, s in places], level, False)
                for own in sides])
        return Times([a for a, _ in pairs], [b for _, b in pairs])

    def speed(variant):
        found = times(variant).json("better", None)
        return {k: v for k, v in found.items() if k not in ("p", "pHolm", "verdict")}

    end = part(1 - stretch, 1)
    growth, late = Losses(end - part(0.4, 0.5)), Losses(end - part(0.7, 0.8))
    tenths = [Losses(part((t - 1) / 10, t / 10)) for t in range(1, 11)]
    others = [i for i in range(len(m)) if i != baseline]
    smallest, largest = min(others, key=lambda i: m[i]), max(others, key=lambda i: m[i])
    estimates = [g.difference(largest, smallest) for g in (growth, late)] if m[largest] > m[smallest] else []
    corrected = holm([e.p for e in estimates])
    return {
        "curves": [
            {"differenceByTenth": [t.difference(i, baseline).json() for t in tenths],
             "growth": growth.difference(i, baseline).json(), "m": m[i],
             "growthLate": late.difference(i, baseline).json(), "speed": speed(i)} for i in others
        ],
        "claims": [
            {"estimate": e.json(), "p": e.p, "pHolm": p, "verdict": direction(p, e.value < 0)}
            | near(e, p, len(seeds)) for e, p in zip(estimates, corrected)
        ] + ([judged_speed(times(others[0]), speed(others[0]), len(seeds))] if len(others) == 1 else []),
    }


def metrics(rows, parameters):
    """The loss on every set of text, and of every task accuracy and bits per byte of the right answers."""
    names, seeds = [v["name"] for v in parameters["variants"]], parameters["seeds"]
    own = [[[r for r in rows if r["model"] == n and int(r["seed"]) == s] for n in names] for s in seeds]
    kinds = list(dict.fromkeys((r["measure"], r["set"]) for r in own[0][0]))
    measures = [
        m for m in ("loss", "accuracy", "bits_per_byte") if sum(kind[0] == m for kind in kinds) > 1]
    last = max(int(r["step"]) for r in rows)

    def curve(run, measure):
        mine = [r for r in run if r["measure"] == measure]
        steps = sorted({int(r["step"]) for r in mine})
        at = [[r for r in mine if int(r["step"]) == step] for step in steps]
        return [float(a[0]["tokens"]) for a in at], [float(np.mean([float(r["value"]) for r in a])) for a in at]

    def speed(measure, pair):
        rising, found = measure == "accuracy", []
        for runs in own:
            sides = [curve(runs[i], measure) for i in pair]
            level = (min if rising else max)(y[-1] for _, y in sides)
            found.append([reached(x, y, level, rising) for x, y in sides])
        json_ = Times([a for a, _ in found], [b for _, b in found]).json("better", None)
        return {k: v for k, v in json_.items() if k not in ("p", "pHolm", "verdict")}

    def judged(count, score, measure, near):
        """By comparison, then score: `score` of a run, with its error; `near` is of a verdict."""
        pairs = [(names.index(c["variant"]), names.index(c["against"])) for c in parameters["comparisons"]]
        found = [[
            Paired([score(runs[i], k) for runs in own], [score(runs[j], k) for runs in own],
                   measure(k) == "accuracy") for k in range(count)] for i, j in pairs]
        corrected = iter(holm([one.p for each in found for one in each]))
        return [[
            one.json(c["says"], p) | {"model": c["variant"], "against": c["against"]} | near(one, p, len(seeds))
            for one, p in zip(each, corrected)] for c, each in zip(parameters["comparisons"], found)]

    def end(run, kind):
        row = next(r for r in run if (r["measure"], r["set"]) == kind and int(r["step"]) == last)
        return float(row["value"]), float(row["error"]), row["standing"]

    def mean(run, k):
        scores = [end(run, kind) for kind in kinds if kind[0] == measures[k]]
        return np.mean([s[0] for s in scores]), math.sqrt(sum(s[1]**2 for s in scores)) / len(scores)

    once = len({r["step"] for r in rows}) < 2
    claims = [
        one if once else one | {"speed": speed(m, (names.index(c["variant"]), names.index(c["against"])))}
        for c, each in zip(
            parameters["comparisons"], judged(len(measures), mean, lambda k: measures[k], near_end))
        for m, one in zip(measures, each)]
    singles = judged(
        len(kinds), lambda run, k: end(run, kinds[k])[:2], lambda k: kinds[k][0], lambda *_: {})
    result = []
    for k, (measure, name) in enumerate(kinds):
        values = [[end(run, (measure, name)) for run in runs] for runs in own]
        entry = {
            "measure": measure, "set": name, "comparisons": [each[k] for each in singles],
            "means": {n: float(np.mean([v[i][0] for v in values])) for i, n in enumerate(names)}}
        if measure == "accuracy":
            entry["atChance"] = [n for i, n in enumerate(names) if all(v[i][2] == "at" for v in values)]
        result.append(entry)
    return {"claims": claims, "metrics": result}


def judged_speed(found, speed, seeds):
    p_holm = holm([found.p])[0]
    judged = {"speed": speed, "p": found.p, "pHolm": p_holm, "verdict": direction(p_holm, found.side < 0)}
    return judged | (near_end(found, p_holm, seeds) if found.estimate else {})


# Comparing ------------------------------------------------------------------------------------------------

# Members that no computation makes: words, configurations, ids.
WORDS = {"configuration", "panel", "paper", "statement", "by", "method", "description"}
ROW_WORDS = WORDS | {
    "model", "parameters", "tableParameters", "rows", "inputVocabulary", "vocabulary", "tokens"}


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
    kinds = {
        "scalingLaw": law, "lossCurves": curves, "ablation": table, "vocabularies": table,
        "metrics": metrics,
        "discovery": discovery, "updates": updates,
    }
    compute = kinds.get(parameters.get("report", parameters.get("kind")), figure)
    computed = compute(rows, parameters)
    if compute is not curves and compute is not law:
        claims = [c for c in computed.get("claims", []) + computed.get("comparisons", []) if "verdict" in c]
    else:
        claims = computed.get("claims") or [c for f in computed.get("fits", {}).values() for c in f["claims"]]
    found = []
    for key in ("counting",):
        if key in published and key not in computed:
            found.append(f"{path}.json:{key}: published alone")
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
