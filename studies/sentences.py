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
        return f"{what} is {means[high]:.{digits}f} throughout."
    ends = (f"{_name(key)} ({means[key]:.{digits}f})" for key in (high, low))
    return f"{what} is highest for {' and lowest for '.join(ends)}."


def _name(key: object) -> str:
    return ", ".join(map(str, key)) if isinstance(key, tuple) else str(key)
