"""What the referee says of numbers: families of tests, estimates, contrasts of variants over seeds."""
import math

import numpy as np
from scipy import stats

LEVEL, DOUBT, BOUND = 0.05, 0.25, 0.1

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
            # What does not scatter has no degrees of it: variants whose runs are the same.
            "degreesOfFreedom": number(self.degrees) if self.error > 0 else None, "error": self.origin,
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

    def pooled(self, h):
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
