"""What the book says the thesis' grid costs is what the code counts."""

import pandas as pd
import pytest

from vilbert_lib.paths import REPOSITORY


@pytest.fixture(scope="module")
def cost():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(REPOSITORY / "benchmarks")
        import cost
    return cost


@pytest.mark.slow
def test_the_book_shows_what_is_counted(cost):
    jobs = cost.grid()
    for name, table in {"work": cost.work(jobs), "hours": cost.hours(jobs)}.items():
        shown = pd.read_csv(REPOSITORY / "benchmarks" / "results" / f"cost_{name}.csv")
        pd.testing.assert_frame_equal(shown, table, check_dtype=False, rtol=1e-3)


def test_jobs_wait_for_what_they_start_from_and_then_the_longest_begins(cost):
    def job(flop, start="", task="easy_vqa", architecture="a"):
        return cost.Job(task=task, architecture=architecture, flop=flop, size=0, start=start)

    jobs = [job(1.0, "a"), job(4.0), job(2.0, "a"), job(3.0, task=cost.CAPTIONS)]
    assert cost.wall(jobs, 1, 1.0) == 10
    assert cost.wall(jobs, 2, 1.0) == 5  # 4 and 1 beside 3 and 2
    assert cost.wall(jobs, 64, 2.0) == 2.5  # 3 and then 2, at twice the rate
