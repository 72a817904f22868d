"""What a study of a given size can find."""

import numpy as np
from scipy import integrate, optimize, special, stats


def chance_to_detect(rho: float, n: int, alpha: float = 0.05) -> float:
    """Chance in [0, 1] that ``n`` >= 4 independent pairs of correlation ``rho`` give p <= ``alpha``, two-sided.

    Of the pairs both sides are normal and drawn (not chosen), so r has Hotelling's exact density (1953), which
    is integrated numerically. A ValueError for fewer pairs, or \\|rho\\| that is not below 1.
    """
    if n < 4:
        raise ValueError(f"n={n}: at least 4 pairs are needed")
    if not abs(rho) < 1:
        raise ValueError(f"rho={rho} must lie between -1 and 1")
    t = stats.t.ppf(1 - alpha / 2, n - 2)
    critical = np.arctanh(t / np.hypot(t, np.sqrt(n - 2)))
    reach = 12 / np.sqrt(n - 3)  # in Fisher's z, beyond which there is nothing

    def beyond(rho: float) -> float:
        start = max(critical, np.arctanh(rho) - reach)
        end = max(critical, np.arctanh(rho)) + reach
        return integrate.fixed_quad(_density, start, end, args=(n, rho), n=200)[0]

    return float(min(1.0, beyond(rho) + beyond(-rho)))


def _density(z: np.ndarray, n: int, rho: float) -> np.ndarray:
    """Density of Fisher's z of r, from Hotelling's of r: its gamma functions overflow, their logarithms do not."""
    r = np.tanh(z)
    log_constant = np.log(n - 2) + special.gammaln(n - 1) - special.gammaln(n - 0.5) - np.log(2 * np.pi) / 2
    log_powers = (n - 1) / 2 * np.log1p(-(rho**2)) - (n - 2) * np.log(np.cosh(z)) - (n - 1.5) * np.log1p(-rho * r)
    return np.exp(log_constant + log_powers) * special.hyp2f1(0.5, 0.5, n - 0.5, (1 + rho * r) / 2)


def smallest_detectable(n: int, power: float = 0.8, alpha: float = 0.05, *, exact: bool = False) -> float:
    """The smallest \\|rho\\| that ``n`` >= 4 independent pairs show with chance ``power`` at level ``alpha``.

    By Fisher's z, the protocol's figure, which is a little too large for few pairs: .96 with 5, where ``exact``
    (see :func:`chance_to_detect`) gives .94 and a permutation test needs .95; .73 and .71 with 12. Of a
    correlation between architectures n is their number, however many seeds each has. A ValueError for fewer
    pairs, or unless 0 < alpha < power < 1.
    """
    if n < 4:
        raise ValueError(f"n={n}: at least 4 pairs are needed")
    if not 0 < alpha < power < 1:
        raise ValueError(f"alpha={alpha}, power={power}: they must be 0 < alpha < power < 1")
    z = (stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power)) / np.sqrt(n - 3)
    if exact:  # by way of z, so that correlations near 1 are told apart as well as others
        z = optimize.brentq(lambda z: chance_to_detect(np.tanh(z), n, alpha) - power, 0, 2 * z + 1)
    return float(np.tanh(z))


def smallest_detectable_within(
    clusters: int, size: int, power: float = 0.8, alpha: float = 0.05, *, exact: bool = False
) -> float:
    """The same for a correlation within ``clusters`` of ``size`` rows each.

    Each cluster's mean costs a row: what is left counts as clusters (size - 1) + 1 independent pairs. A
    ValueError where these are fewer than 4.
    """
    if clusters < 1 or size < 2 or clusters * (size - 1) < 3:
        raise ValueError(f"{clusters} clusters of {size} rows: clusters * (size - 1) must be at least 3")
    return smallest_detectable(clusters * (size - 1) + 1, power, alpha, exact=exact)
