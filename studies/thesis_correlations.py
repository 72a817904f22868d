"""The thesis' correlations of alignment with performance, recomputed and read again."""

import numpy as np
import pandas as pd
from scipy import stats

from studies import thesis_log
from vilbert_lib import stats as statistics

PARTS = ["task", "split"]
ARCHITECTURES = 5  # of the pooled models


def recomputed() -> pd.DataFrame:
    """The logged table with ``n``, the models that the log lists; ``p_again``, from r and n; and ``agrees``.

    ``agrees``: the logged p is that of some r that rounds to the logged one.
    """
    table = thesis_log.read("correlations").drop(columns="note")
    models = thesis_log.read("pooled_models").groupby("task").model.nunique()
    table["n"] = table.task.map(models)
    table["p_again"] = [statistics.p_of_r(r, n) for r, n in zip(table.r, table.n, strict=True)]
    table["agrees"] = [_rounds_to(*row) for row in zip(table.r, table.p, table.n, strict=True)]
    return table


def _rounds_to(r: float, p: float, n: int) -> bool:
    """Whether ``p``, of three digits, belongs to an r of three digits over ``n`` pairs."""
    ends = (max(abs(r) - 5e-4, 0), min(abs(r) + 5e-4, 1))
    high, low = (statistics.p_of_r(end, n) for end in ends)
    return bool(low - 5e-4 <= p + 1e-12 and p - 1e-12 <= high + 5e-4)


def fitting_n(r, p, among=range(4, 41)) -> list[int]:
    """The numbers of pairs with which every logged p belongs to its r."""
    return [n for n in among if all(_rounds_to(*pair, n) for pair in zip(r, p, strict=True))]


def signs_of_loss() -> pd.DataFrame:
    """How many measures can have their two Pearson r, with accuracy and with loss, beside one another.

    Three correlations of three variables are possible together only if their matrix has no negative
    eigenvalue. ``r_accuracy_loss`` is that of the listed models; ``as_logged`` counts the measures that are
    possible with the logged sign, ``negated`` those with the other sign of r with the loss.
    """
    models = thesis_log.read("pooled_models").groupby(PARTS, sort=False)
    logged = thesis_log.read("correlations").query("coefficient == 'pearson'")
    rows = []
    for part, listed in models:
        known = np.corrcoef(listed.accuracy, listed.loss)[0, 1]
        of_part = logged[(logged.task == part[0]) & (logged.split == part[1])]
        r = of_part.pivot(index="measure", columns="target", values="r")
        count = {
            name: sum(_possible(a, sign * b, known) for a, b in zip(r.accuracy, r.loss, strict=True))
            for name, sign in (("as_logged", 1), ("negated", -1))
        }
        rows.append(dict(zip(PARTS, part, strict=True)) | {"r_accuracy_loss": known, "measures": len(r)} | count)
    return pd.DataFrame(rows)


def _possible(a: float, b: float, c: float) -> bool:
    matrix = np.array([[1, a, b], [a, 1, c], [b, c, 1]])
    return bool(np.linalg.eigvalsh(matrix)[0] > -2e-3)  # r is rounded


def performance_icc() -> pd.DataFrame:
    """Share of the pooled models' variance that lies between architectures, a row a task, split and target."""
    rows = []
    for part, models in thesis_log.read("pooled_models").groupby(PARTS, sort=False):
        for target in ("accuracy", "loss"):
            share = statistics.icc(models, target)
            rows.append(dict(zip(PARTS, part, strict=True)) | {"target": target, "icc": share})
    return pd.DataFrame(rows)


def _cluster_size(task: str) -> float:
    """Seeds of the architecture in which a model finds itself on average."""
    models = thesis_log.read("pooled_models").query("task == @task and split == 'test'")
    sizes = models.groupby("architecture").size()
    return (sizes**2).sum() / sizes.sum()


def survivors(alpha: float, alignment_iccs: list[float]) -> pd.DataFrame:
    """How many of each task's correlations have a p of at most ``alpha``, by what counts as a model.

    First the models as they are, taken for independent. Then the effective number, from the ICC of
    performance, which the listed models give, and an ICC of alignment, which the log does not hold and
    which is assumed. Then the architectures alone, with the logged r as if it were that of their means.
    ``holm`` and ``by`` are corrected for the correlations of the task.
    """
    table = recomputed().merge(performance_icc(), on=[*PARTS, "target"])
    size = table.task.map({task: _cluster_size(task) for task in table.task.unique()})
    readings: dict[str, pd.Series] = {"models, taken for independent": table.n}
    for icc in alignment_iccs:
        pairs = zip(table.n, size, table.icc, strict=True)
        effective = [statistics.effective_number(n, s, icc, y) for n, s, y in pairs]
        readings[f"effective number, ICC of alignment {icc:g}"] = pd.Series(effective)
    readings["architectures"] = pd.Series(ARCHITECTURES, index=table.index)
    rows = []
    for name, n in readings.items():
        p = pd.Series([statistics.p_of_r(*pair) for pair in zip(table.r, n, strict=True)])
        for task, of_task in p.groupby(table.task, sort=False):
            counts = {"p": of_task.to_numpy()} | {m: statistics.adjust(of_task, m) for m in ("holm", "by")}
            row = {"counted": name, "task": task, "n": n[of_task.index].mean(), "tests": len(of_task)}
            rows.append(row | {m: int((values <= alpha).sum()) for m, values in counts.items()})
    return pd.DataFrame(rows)


def false_alarms(
    alignment_iccs: list[float], performance_iccs: list[float], alpha: float, draws: int = 20_000, seed: int = 0
) -> pd.DataFrame:
    """How often p of plain Pearson is at most ``alpha`` where nothing relates alignment to performance.

    Simulated: Gaussian, 5 architectures with 3 seeds each, of the ICC named on either side.
    """
    rng, shape, n = np.random.default_rng(seed), (draws, ARCHITECTURES, 3), ARCHITECTURES * 3
    architecture, seeds = (rng.standard_normal((2, *shape[:2], last)) for last in (1, 3))
    rows = []
    for x_icc in alignment_iccs:
        for y_icc in performance_iccs:
            x, y = (
                (icc**0.5 * between + (1 - icc) ** 0.5 * within).reshape(draws, n)
                for icc, between, within in zip((x_icc, y_icc), architecture, seeds, strict=True)
            )
            x, y = (v - v.mean(1, keepdims=True) for v in (x, y))
            r = (x * y).sum(1) / np.sqrt((x**2).sum(1) * (y**2).sum(1))
            critical = stats.t.ppf(1 - alpha / 2, n - 2)
            rate = np.mean(np.abs(r) >= critical / np.sqrt(n - 2 + critical**2))
            rows.append({"alignment_icc": x_icc, "performance_icc": y_icc, "rate": rate})
    return pd.DataFrame(rows)


def between_tasks(split: str = "test", target: str = "accuracy") -> pd.DataFrame:
    """Pearson r of each measure on the two tasks, with p and Holm's p of their difference (Fisher's z).

    Models are taken for independent, so that p is rather too small.
    """
    table = recomputed().query("coefficient == 'pearson' and split == @split and target == @target")
    r = table.pivot(index="measure", columns="task", values="r").loc[table.measure.unique()]
    n = table.groupby("task").n.first()
    z = np.arctanh(r.upmc_food) - np.arctanh(r.mm_imdb)
    r["p"] = 2 * stats.norm.sf(np.abs(z) / np.sqrt((1 / (n - 3)).sum()))
    r["holm"] = statistics.adjust(r.p, "holm")
    return r.reset_index().rename_axis(columns=None)
