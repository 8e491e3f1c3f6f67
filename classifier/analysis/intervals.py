"""How sure a share is that was counted."""

from __future__ import annotations

import numpy as np

Z95 = 1.959963984540054


def wilson_interval(n_successes: float, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a proportion; ``(0, 1)`` without any trial.

    References
    ----------
    Wilson (1927), https://doi.org/10.1080/01621459.1927.10502953

    Examples
    --------
    >>> [round(bound, 3) for bound in wilson_interval(90, 100)]
    [0.826, 0.945]
    """
    if n == 0:
        return 0.0, 1.0
    share, spread = n_successes / n, Z95**2 / n
    centre = (share + spread / 2) / (1 + spread)
    half = Z95 * np.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return float(max(0.0, min(share, centre - half))), float(min(1.0, max(share, centre + half)))
