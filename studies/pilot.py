"""The pilot: which settings of the tasks let placements be compared, chosen by a rule that was written first.

The book's chapter on the pilot has the results.

The rule. Every candidate setting of a task is trained with each of ``PLACEMENTS`` and each of ``SEEDS``, seeds
that no study uses. A candidate is *admissible* where

1. at least 95 % of its runs converge: the performance of the last epoch is at most ``STILL_RISING`` above that of
   the epoch before the last fifth of the training (on the validation split; of genres macro F1), and the task is
   learned better than by guessing;
2. the standard deviation between seeds of one placement, pooled over placements, is at most ``SEED_SD``;
3. the mean over all runs is at least ``ROOM`` away from the floor and from the ceiling of the task.

Of the admissible candidates of a task the one whose placements differ most is taken: the largest standard
deviation of placement means, less what the seeds explain of it; of equals, to a tenth of a point, the one with
fewest steps. Where none is admissible, the candidate that misses the limits by least, in units of the limits, is
taken and named as what it is. Performance is accuracy on the test split or, of genres, the mean area under the ROC
curve over the genres of one kind of information; all in percentage points.
"""

from pathlib import Path

import pandas as pd

from vilbert_lib import runs
from vilbert_lib.config import Profile, RunConfig

SEEDS = (900, 901)
PLACEMENTS = ("early_fusion", "middle_fusion", "late_fusion", "vision_late_fusion")
STILL_RISING, SEED_SD, ROOM = 1.0, 2.0, 5.0  # percentage points
CONVERGED = 0.95  # share of the runs
#: Floor and ceiling by task: majority class and best possible; ranking by chance; questions alone; what one
#: side of dishes with one synergistic bit can tell, and the best possible.
LIMITS = {
    "hateful_memes": (65.8, 95.0),
    "mm_imdb": (50.0, 100.0),
    "easy_vqa": (67.0, 100.0),
    "upmc_food": (47.7, 95.0),
}

#: The settings that are tried, by task: fusion, training samples, epochs.
CANDIDATES: dict[str, tuple[tuple[str, int, int], ...]] = {
    "hateful_memes": (("sum", 700, 16), ("sum", 1000, 12), ("concat", 1000, 12)),
    "mm_imdb": (("sum", 1000, 12), ("sum", 2000, 8), ("concat", 1000, 12)),
    "easy_vqa": (("sum", 1000, 16), ("sum", 2000, 10), ("concat", 2000, 10)),
    "upmc_food": (("sum", 2000, 10),),  # tried later, without the placement that is late in the image alone
}


def configurations(scale: Profile, roots: dict[str, Path]) -> list[RunConfig]:
    """Every candidate of the tasks in ``roots`` with every placement and seed."""
    return [
        runs.configure(
            scale,
            root,
            task,
            placement,
            seed,
            train={"n_train": n_train, "epochs": epochs},
            model={"fusion": fusion},
        )
        for task, root in roots.items()
        for fusion, n_train, epochs in CANDIDATES[task]
        for placement in PLACEMENTS
        for seed in SEEDS
    ]


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """How each candidate does against the limits of the rule.

    Parameters
    ----------
    results : pandas.DataFrame
        A row a run and target: ``task``, ``target``, ``fusion``, ``n_train``, ``epochs``, ``placement``, ``seed``,
        ``value`` and ``rise``, the gain over the last fifth of the training, both in percentage points.

    Returns
    -------
    pandas.DataFrame
        A row a candidate and target: ``runs``, ``mean``, ``seed_sd`` (within placements, pooled), ``placement_sd``
        (of placement means), ``beyond_seeds`` (of it what the seeds do not explain), ``not_converged`` (share of
        runs, in percent), ``admissible``, and ``missed_by``, the distance to the limits in units of the limits.
    """
    rows = []
    for (task, target, fusion, n_train, epochs), runs_of in results.groupby(
        ["task", "target", "fusion", "n_train", "epochs"], sort=False
    ):
        placements = runs_of.groupby("placement").value
        seed_variance, between = placements.var().mean(), placements.mean().var()
        mean = placements.mean().mean()
        open_share = ((runs_of.rise > STILL_RISING) | (runs_of.value <= LIMITS[task][0])).mean()
        least, most = LIMITS[task][0] + ROOM, LIMITS[task][1] - ROOM
        missed = {
            "convergence": max(0.0, open_share - (1 - CONVERGED)) / (1 - CONVERGED),
            "seeds": max(0.0, seed_variance**0.5 - SEED_SD) / SEED_SD,
            "room": max(0.0, least - mean, mean - most) / ROOM,
        }
        rows.append(
            {
                "task": task,
                "target": target,
                "fusion": fusion,
                "n_train": n_train,
                "epochs": epochs,
                "runs": len(runs_of),
                "mean": mean,
                "seed_sd": seed_variance**0.5,
                "placement_sd": between**0.5,
                "beyond_seeds": max(0.0, between - seed_variance / len(SEEDS)) ** 0.5,
                "not_converged": 100 * open_share,
                "admissible": not any(missed.values()),
                "missed_by": sum(missed.values()),
            }
        )
    return pd.DataFrame(rows)
