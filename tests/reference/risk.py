"""Twin of the risks: probabilities of rectangles under the bivariate normal distribution, by scipy."""

from __future__ import annotations

from scipy.stats import multivariate_normal

FAR = 40.0


def rectangles(
    mean: float, sd: float, uncertainty: float, limits: tuple[float, float], accept: tuple[float, float]
) -> tuple[float, float]:
    """False accepts and false rejects; infinite limits are put far away."""
    spread = sd * sd + uncertainty * uncertainty
    low, high = mean - FAR * spread**0.5, mean + FAR * spread**0.5
    (below, above), (a, b) = ((max(pair[0], low), min(pair[1], high)) for pair in (limits, accept))

    def share(true: tuple[float, float], told: tuple[float, float]) -> float:
        if not (true[0] < true[1] and told[0] < told[1]):
            return 0.0
        covariance = [[sd * sd, sd * sd], [sd * sd, spread]]
        corner = [true[1], told[1]]
        return float(
            multivariate_normal.cdf(
                corner, mean=[mean, mean], cov=covariance, lower_limit=[true[0], told[0]], abseps=1e-12, releps=1e-10
            )
        )

    accepted = share((low, below), (a, b)) + share((above, high), (a, b))
    rejected = share((below, above), (low, a)) + share((below, above), (b, high))
    return accepted, rejected
