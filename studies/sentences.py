"""Plain sentences on what a figure shows, from the numbers that it draws."""

import pandas as pd


def highest_and_lowest(values: pd.Series, what: str, digits: int = 2) -> str:
    """Which name of ``values`` has the highest number and which the lowest, as a sentence about ``what``.

    Parameters
    ----------
    values : pandas.Series
        Numbers by name; several of one name, such as those of seeds, are averaged. Missing numbers are left out.
    what : str
        What the numbers are, as the beginning of the sentence.
    digits : int
        Decimal places.
    """
    levels = list(range(values.index.nlevels))
    means = values.dropna().groupby(level=levels, sort=False).mean().round(digits)
    if means.empty:
        return f"{what}: there is no value."
    high, low = means.idxmax(), means.idxmin()
    if means[high] == means[low]:
        return f"{what} is {means[high]:z.{digits}f} throughout."
    ends = (f"{_name(key)} ({means[key]:z.{digits}f})" for key in (high, low))
    return f"{what} is highest for {' and lowest for '.join(ends)}."


def of_tasks(table: pd.DataFrame, value: str) -> str:
    """The architectures with the highest and the lowest mean of ``value`` on every task; rows are runs."""
    named = value.replace("_", " ")
    return " ".join(
        highest_and_lowest(rows.set_index("architecture")[value], f"{task}: {named}")
        for task, rows in table.groupby("task", sort=False)
    )


def of_profiles(lines: pd.DataFrame, hue: str = "architecture") -> tuple[pd.DataFrame, str]:
    """What :func:`vilbert_lib.figures.layer_profiles` draws, a row a point, and a sentence on it.

    ``lines`` are rows of :func:`vilbert_lib.runs.alignments` with the column ``hue``.
    """
    by = ["measure", hue, "text_layer", "vision_layer"]
    drawn = lines[lines.paired].groupby(by, sort=False, as_index=False).value.agg(["mean", "min", "max"])
    of_all = drawn.groupby(["measure", hue], sort=False)["mean"].mean()
    ends = [
        highest_and_lowest(of_all[measure], f"{measure}, as the mean over layers,")
        for measure in dict.fromkeys(drawn.measure)
    ]
    return drawn, " ".join(ends[:2])


def _name(key: object) -> str:
    return ", ".join(map(str, key)) if isinstance(key, tuple) else str(key)
