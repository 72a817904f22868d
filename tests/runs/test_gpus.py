"""Trainings of one machine spread over its GPUs. Locks make the choice, so it can be tried without any."""

from contextlib import ExitStack

from vilbert_lib.runs.machine import least_taken


def test_each_takes_the_gpu_that_the_fewest_are_on_and_gives_it_back(tmp_path):
    with ExitStack() as all_at_once:
        taken = [all_at_once.enter_context(least_taken(["a", "b", "c"], tmp_path)) for _ in range(5)]
        assert taken == [0, 1, 2, 0, 1]
        with least_taken(["c", "b"], tmp_path) as number:  # by another order, as one process may see them
            assert number == 0
        with least_taken(["d", "a"], tmp_path) as number:
            assert number == 0
    with least_taken(["a", "b"], tmp_path) as number:
        assert number == 0
