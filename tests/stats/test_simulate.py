"""Type-I errors: each procedure is mistaken as often as it says, and those known to miss their level do."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks import error_rates as simulation
from benchmarks.error_rates import DESIGNS, ICCS, PROCEDURES, Studies, error_rates
from vilbert_lib import stats as statistics
from vilbert_lib.paths import REPOSITORY
from vilbert_lib.stats.clusters import Clusters

HOLD = [
    "between, permutation",
    "within, t",
    "within, permutation",
    "max-T between, 8 measures",
    "max-T within, 8 measures",
    "Mantel, architectures permuted",
    "interval of r between: Fisher's z",
    "tasks together, permutation",
    "interval of r within: Fisher's z",
]
HOLD_WITH_12 = [
    "interval of r, tasks together: jackknife",
    "paired, sign flips",
    "difference of r, swaps",
    "partial r, Freedman and Lane",
    "interval of partial r: bootstrap of architectures",
    "contrast of unequal cells, studentized",
]


def named(*names: str) -> list:
    return [p for p in PROCEDURES if p.name in names]


def chance(draws: int) -> tuple[float, float]:
    """What a rate of .05 is in 99.9 % of simulations."""
    low, high = stats.binom.interval(0.999, draws, 0.05)
    return low / draws, high / draws


def rates_of(draws: int, names, designs=DESIGNS, iccs=ICCS) -> pd.DataFrame:
    return error_rates(draws, procedures=named(*names), designs=designs, iccs=iccs, hidden=True)


@pytest.mark.parametrize("name", HOLD)
def test_the_procedure_is_mistaken_as_often_as_it_says(name):
    low, high = chance(300)
    found = rates_of(300, [name])
    assert found.rate.between(low, high).all(), found.to_string()


@pytest.mark.parametrize("name", HOLD_WITH_12)
def test_with_twelve_architectures_it_is_mistaken_as_often_as_it_says(name):
    low, high = chance(600)
    found = rates_of(600, [name], designs=[(12, 3)])
    assert found.rate.between(low, high).all(), found.to_string()


def test_the_two_stage_interval_misses_no_more_than_it_says_up_to_an_icc_of_6_tenths():
    found = rates_of(600, ["interval of r: two-stage bootstrap"], iccs=ICCS[:3])
    assert (found.rate <= chance(600)[1]).all(), found.to_string()


# What is simulated is what the library offers


def studies(icc: float = 0.5, rho: float = 0.0) -> Studies:
    return Studies(clusters=Clusters.equal(5, 3), icc=icc, rho=rho, datasets=20, seed=(7,))


def tables(columns: np.ndarray, names: list[str]) -> list[pd.DataFrame]:
    """Data sets (D, c, N) as tables with these column names."""
    labels = {"architecture": np.repeat(range(5), 3), "seed": np.tile(range(3), 5)}
    return [pd.DataFrame(labels | dict(zip(names, one, strict=True))) for one in columns]


def test_its_verdicts_are_those_of_the_public_functions():
    s, names = studies(), ["x", "y"]
    pairs = tables(np.moveaxis(s.pair(), 0, 1), names)
    target = [f"m{i}" for i in range(simulation.MEASURES)]
    families = tables(np.concatenate(s.family(), axis=1), [*target, "y"])
    public = {
        simulation.pooled: [statistics.p_of_r(t.x.corr(t.y), 15) for t in pairs],
        simulation.between: [statistics.between(t, *names)["p"] for t in pairs],
        simulation.within_t: [statistics.within(t, *names)["p"] for t in pairs],
        simulation.within_permutation: [statistics.within(t, *names)["p_permutation"] for t in pairs],
        simulation.family_between: [statistics.max_t(t, target, "y").p_family.min() for t in families],
        simulation.family_within: [
            statistics.max_t(t, target, "y", level="within").p_family.min() for t in families
        ],
        simulation.mantel_clusters: [
            statistics.mantel(a, b, clusters=pairs[0].architecture)["p"]
            for a, b in zip(*s.distances(), strict=True)
        ],
        simulation.mantel_models: [
            statistics.mantel(a, b, draws=simulation.PERMUTATIONS, seed=s.chance)["p"]
            for a, b in zip(*s.distances(), strict=True)
        ],
        simulation.difference_swaps: [
            statistics.difference_of_correlations(t, "x1", "x2", "y", draws=10)["p"]
            for t in tables(s.rivals(), ["x1", "x2", "y"])
        ],
    }
    for verdict, p in public.items():
        assert verdict(s).tolist() == [value <= 0.05 for value in p], verdict.__name__


def test_its_intervals_are_those_of_the_public_functions():
    s = studies(rho=0.5)
    kinds = s.columns(np.eye(1))[:, 0]
    options = {"draws": simulation.RESAMPLES, "seed": s.chance}
    found = {
        simulation.bootstrap_two_stage: [],
        simulation.between_fisher: [],
        simulation.within_fisher: [],
        simulation.paired_two_stage: [],
    }
    flips = []
    for t in tables(np.moveaxis(s.pair(), 0, 1), ["x", "y"]):
        interval, inner = statistics.correlation(t, "x", "y", **options), statistics.within(t, "x", "y")
        outer = statistics.between(t, "x", "y")
        found[simulation.between_fisher].append(not outer["low"] <= 0.5 <= outer["high"])
        found[simulation.bootstrap_two_stage].append(not interval["low"] <= 0.5 <= interval["high"])
        found[simulation.within_fisher].append(not inner["low"] <= 0.5 <= inner["high"])
    for t in tables(kinds[:, None], ["value"]):
        both = pd.concat([t.assign(kind="a"), t.assign(kind="b", value=0.0)])
        row = statistics.paired(both, "value", of="kind", against="b", **options).iloc[0]
        found[simulation.paired_two_stage].append(not row.low <= 0 <= row.high)
        flips.append(row.p <= 0.05)
    assert simulation.paired_flips(s).tolist() == flips
    for verdict, missed in found.items():
        assert verdict(s).tolist() == missed, verdict.__name__
        assert any(missed) or verdict is not simulation.paired_two_stage


# The script


def simulate(*options: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(REPOSITORY / "benchmarks" / "error_rates.py"), *options]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.slow
def test_the_script_writes_both_tables_and_processes_change_nothing(tmp_path):
    written = []
    for jobs in ("1", "2"):
        folder = tmp_path / jobs
        done = simulate("--draws", "3", "--seed", "4", "--jobs", jobs, "--out", str(folder))
        assert "3 studies of each design and ICC, seed 4" in done.stdout, done.stderr
        assert sorted(p.name for p in folder.iterdir()) == ["type_one_error.csv", "type_one_error_wide.csv"]
        written.append([p.read_bytes() for p in sorted(folder.iterdir())])
    assert written[0] == written[1]
    tidy, wide = (pd.read_csv(p) for p in sorted(folder.iterdir()))
    assert list(tidy.columns) == ["procedure", "design", "icc", "rho", "rate", "low", "high", "draws"]
    assert set(tidy.procedure) == {p.name for p in PROCEDURES}
    row = wide[(wide.procedure == tidy.procedure[0]) & (wide.rho == 0)].iloc[0]
    assert row["5x3, ICC 0.0"] == round(tidy.rate[0], 3)
