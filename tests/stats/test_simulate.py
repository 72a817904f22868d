"""Type-I errors: each procedure is mistaken as often as it says, and those known to miss their level do."""

import subprocess
import sys
from dataclasses import replace

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
TOO_SURE = ["Pearson over all runs", "Mantel, models permuted", "interval of r: bootstrap of runs"]


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


@pytest.mark.parametrize("name", TOO_SURE)
def test_what_takes_runs_to_be_independent_is_mistaken_too_often(name):
    found = rates_of(200, [name], designs=[(5, 3)], iccs=[0.9])
    assert (found.low > 0.1).all()
    if "bootstrap" not in name:
        assert rates_of(200, [name], designs=[(5, 3)], iccs=[0.0]).rate.between(*chance(200)).all()


def test_the_two_stage_interval_misses_no_more_than_it_says_up_to_an_icc_of_6_tenths():
    found = rates_of(600, ["interval of r: two-stage bootstrap"], iccs=ICCS[:3])
    assert (found.rate <= chance(600)[1]).all(), found.to_string()


def test_single_pairs_of_few_architectures_are_too_sure_where_they_are_alike():
    found = rates_of(300, ["paired, sign flips"], designs=[(5, 3)]).set_index("icc")
    assert found.rate[0.0] <= chance(300)[1] and found.low[0.6] > 0.1


def test_five_architectures_are_too_few_for_a_difference_of_correlations():
    assert (rates_of(100, ["difference of r, swaps"], designs=[(5, 3)]).rate == 0).all()


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


def test_its_verdicts_on_tasks_together_are_those_of_the_public_function():
    s = studies(rho=0.5)
    names = np.tile(np.arange(5), simulation.TASKS)
    tasks = np.repeat(np.arange(simulation.TASKS), 5)
    found = [
        statistics.together(
            pd.DataFrame({"task": tasks, "architecture": names, "x": x.ravel(), "y": y.ravel()}), "x", "y"
        )
        for x, y in zip(*s.tasks(), strict=True)
    ]
    assert simulation.together_permutation(s).tolist() == [one["p"] <= 0.05 for one in found]
    assert simulation.together_jackknife(s).tolist() == [not one["low"] <= 0.5 <= one["high"] for one in found]


def test_made_studies_have_the_shares_and_correlations_that_were_asked_for():
    s = replace(studies(icc=0.6, rho=0.5), datasets=4000)
    x, y = s.pair()
    between = np.cov(x[:, 0], x[:, 1])[0, 1]  # two seeds of one architecture
    assert between == pytest.approx(0.6, abs=0.05) and x.var() == pytest.approx(1, abs=0.03)
    assert np.corrcoef(x.ravel(), y.ravel())[0, 1] == pytest.approx(0.5, abs=0.03)
    assert np.corrcoef(s.clusters.centred(x).ravel(), s.clusters.centred(y).ravel())[0, 1] == pytest.approx(
        0.5, abs=0.03
    )
    first, second, target = np.moveaxis(s.rivals(), 1, 0)
    for one, other in ((first, second), (first, target), (second, target)):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] == pytest.approx(0.5, abs=0.03)


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


def test_no_studies_are_refused(tmp_path):
    done = simulate("--draws", "0", "--out", str(tmp_path))
    assert done.returncode and "--draws 0 must be at least 1" in done.stderr and not list(tmp_path.iterdir())
