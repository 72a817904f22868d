"""Findings: an estimate with its interval, and the verdict on a question that was stated before."""

from collections.abc import Iterable
from typing import Literal

import numpy as np
import pandas as pd

COLUMNS = ["study", "question", "estimate", "low", "high", "unit", "p", "n", "verdict", "sentence"]
Direction = Literal["positive", "negative", "nonzero", "zero"]


def verdict(low: float, high: float, direction: Direction = "nonzero", margin: float = 0.0) -> str:
    """Turn the interval of an effect into a verdict on the hypothesis that it has a direction.

    Parameters
    ----------
    low, high : float
        Ends of the effect's interval, of the level at which the verdict is to hold.
    direction : {"positive", "negative", "nonzero", "zero"}
        What the hypothesis says of the effect; ``zero`` means smaller in size than ``margin``.
    margin : float
        Smallest size of interest, at least 0.

    Returns
    -------
    str
        ``supported`` where the whole interval lies where the hypothesis says; ``contradicted`` where it excludes
        every effect of interest of that direction; ``inconclusive`` otherwise, and without an interval.

    Raises
    ------
    ValueError
        For another direction, a negative margin, or ``low`` above ``high``.

    Examples
    --------
    >>> verdict(0.01, 0.09, "positive"), verdict(-0.01, 0.01, "positive", margin=0.02), verdict(-0.2, 0.3)
    ('supported', 'contradicted', 'inconclusive')
    """
    if margin < 0 or low > high:
        raise ValueError(
            f"low {low}, high {high}, margin {margin}: low <= high and a margin of at least 0 are needed"
        )
    if direction == "negative":
        return verdict(-high, -low, "positive", margin)
    if np.isnan(low + high):
        return "inconclusive"
    negligible = -margin <= low and high <= margin
    match direction:
        case "positive":
            supported, contradicted = low > 0, high < margin or high < 0
        case "nonzero":
            supported, contradicted = low > 0 or high < 0, negligible and margin > 0
        case "zero":
            supported, contradicted = negligible, low > margin or high < -margin
        case _:
            raise ValueError(f"unknown direction {direction!r}; known: positive, negative, nonzero, zero")
    return "supported" if supported else "contradicted" if contradicted else "inconclusive"


def finding(
    question: str,
    sentence: str,
    estimate: float = np.nan,
    low: float = np.nan,
    high: float = np.nan,
    *,
    direction: Direction = "nonzero",
    margin: float = 0.0,
    unit: str = "",
    p: float = np.nan,
    n: int | float = np.nan,
    digits: int = 3,
    decided: str = "",
) -> dict[str, object]:
    """Describe one finding, a row of :func:`table`.

    Parameters
    ----------
    question : str
        What was asked, with the direction that was expected.
    sentence : str
        The answer as a sentence; ``{}`` in it becomes the estimate with its interval and unit.
    estimate, low, high, p, n
        The effect, its interval, its p-value and the number of independent units.
    direction, margin
        See :func:`verdict`.
    unit : str
        Unit of the effect, such as ``points``.
    digits : int
        Digits after the point in the sentence.
    decided : str
        The verdict, where a check and no interval decides.
    """
    numbers = f"{estimate:+.{digits}f}"
    if not np.isnan(low + high):
        numbers += f" [{low:+.{digits}f}, {high:+.{digits}f}]"
    if np.isnan(estimate) and "{}" in sentence:
        sentence = "Not estimated."
    return {
        "study": "",
        "question": question,
        "estimate": estimate,
        "low": low,
        "high": high,
        "unit": unit,
        "p": p,
        "n": n,
        "verdict": decided or verdict(low, high, direction, margin),
        "sentence": sentence.format(f"{numbers} {unit}".strip()),
    }


def table(study: str, rows: Iterable[dict[str, object]]) -> pd.DataFrame:
    """Collect the findings of a study.

    Parameters
    ----------
    study : str
        Name of the study's notebook.
    rows : iterable of dict
        Results of :func:`finding`.

    Returns
    -------
    pandas.DataFrame
        Columns ``study, question, estimate, low, high, unit, p, n, verdict, sentence``.
    """
    return pd.DataFrame([row | {"study": study} for row in rows], columns=COLUMNS)
