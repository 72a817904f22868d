"""How often exact p-values call features aligned: false positives where nothing is shared, power where little is.

    python benchmarks/null_rates.py                # 1,000 pairs of layers a case: about seven minutes
    python benchmarks/null_rates.py --measures rsa # some measures, into the table that is there

Pairs of layers of 100 samples and 16 features with four spectra. Shares of pairs with p <= .05 by the Pearson
type III p, by Cantelli's bound (``p_bound``), and, of the first 200 pairs, by 199 permutations; without anything
shared, and with a weak signal.
Writes ``benchmarks/results/null_rates.csv``, which the book's chapter on measures shows.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from vilbert_lib.metrics import MEASURES, alignment_grid

RESULTS = Path(__file__).parent / "results"
N, WIDTH, AT_ONCE, LEVEL = 100, 16, 50, 0.05
DRAWN = 200  # pairs whose samples are permuted
SIGNALS = {"nothing": 0.0, "little": 0.6}


def flat(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((N, WIDTH))


def power_law(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((N, WIDTH)) * np.arange(1, WIDTH + 1) ** -1.0


def one_direction(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((N, WIDTH)) * np.r_[5.0, np.full(WIDTH - 1, 0.3)]


def heavy_tails(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_t(3, (N, WIDTH))


SPECTRA = {"flat": flat, "power law": power_law, "one direction": one_direction, "heavy tails": heavy_tails}


def rates(pairs: int, names: list[str], seed: int = 0) -> pd.DataFrame:
    """One row a measure, spectrum and signal."""
    rows = []
    for spectrum, draw in SPECTRA.items():
        for signal, strength in SIGNALS.items():
            rng, parts = np.random.default_rng([seed, len(rows)]), []
            for start in range(0, pairs, AT_ONCE):
                layers = {}
                for i in range(AT_ONCE):
                    common = draw(rng)
                    layers |= {f"{side}{i}": strength * common + draw(rng) for side in "xy"}
                asked = {"pairs": [(f"x{i}", f"y{i}") for i in range(AT_ONCE)]}
                exact = alignment_grid(layers, names, null="exact", **asked)
                if start < DRAWN:
                    drawn = alignment_grid(layers, names, null="permutation", permutations=199, **asked)
                    exact["p_drawn"] = drawn.p
                parts.append(exact)
            table = pd.concat(parts).groupby("measure", sort=False)[["p", "p_bound", "p_drawn"]]
            found = table.agg(lambda p: (p.dropna() <= LEVEL).mean())
            rows.append(found.reset_index().assign(spectrum=spectrum, signal=signal, pairs=pairs))
            print(rows[-1].to_string(index=False), flush=True)
    return pd.concat(rows, ignore_index=True)


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """The shares side by side, a row a measure and spectrum."""
    wide = table.pivot(index=["measure", "spectrum"], columns="signal", values=["p", "p_bound", "p_drawn"])
    wide = wide.reindex(pd.MultiIndex.from_product([table.measure.unique(), table.spectrum.unique()]))
    titles = {"p": "p", "p_bound": "bound", "p_drawn": "permutations"}
    columns = [(kind, signal) for signal in SIGNALS for kind in titles]
    wide = wide[columns].round(3)
    wide.columns = [f"{titles[kind]}, {signal} shared" for kind, signal in columns]
    return wide.rename_axis(["measure", "features"]).reset_index()


def main() -> None:
    """Count, and write the table."""
    known = [name for name, measure in MEASURES.items() if measure.skewness]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--measures", nargs="+", choices=known, default=known)
    asked = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)
    table, path = readable(rates(asked.pairs, asked.measures)), RESULTS / "null_rates.csv"
    if asked.measures != known and path.is_file():
        others = pd.read_csv(path)
        table = pd.concat([others[~others.measure.isin(asked.measures)], table])
        table = table.sort_values("measure", key=lambda names: names.map(known.index), kind="stable")
    table.to_csv(path, index=False)


if __name__ == "__main__":
    main()
