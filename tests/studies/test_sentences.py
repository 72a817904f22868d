"""Sentences below figures give the numbers that are drawn."""

import numpy as np
import pandas as pd

from studies.sentences import highest_and_lowest, of_profiles, of_tasks


def test_the_ends_are_means_by_name_and_missing_numbers_are_left_out():
    values = pd.Series([0.5, 0.7, 0.2, np.nan], index=["a", "a", "b", "c"])
    said = highest_and_lowest(values, "Accuracy")
    assert said == "Accuracy is highest for a (0.60) and lowest for b (0.20)."
    pairs = pd.Series([1.0, 2.0], index=pd.MultiIndex.from_tuples([("a", 5), ("b", 5)]))
    assert highest_and_lowest(pairs, "It", 0) == "It is highest for b, 5 (2) and lowest for a, 5 (1)."


def test_equal_numbers_and_none_at_all_have_no_ends():
    assert highest_and_lowest(pd.Series({"a": 0.101, "b": 0.099}), "CKA", 2) == "CKA is 0.10 throughout."
    assert highest_and_lowest(pd.Series({"a": np.nan}), "CKA") == "CKA: there is no value."


def test_profiles_are_the_points_that_are_drawn():
    lines = pd.DataFrame(
        {"measure": "cka", "architecture": ["a", "a", "b"], "text_layer": [0, 0, 0], "paired": True}
    )
    lines = lines.assign(vision_layer=0, value=[0.1, 0.3, 0.6])
    drawn, said = of_profiles(pd.concat([lines, lines.assign(paired=False, value=9.0)]))
    assert drawn[["architecture", "mean", "min", "max"]].to_numpy().tolist() == [
        ["a", 0.2, 0.1, 0.3],
        ["b", 0.6, 0.6, 0.6],
    ]
    assert said == "cka, as the mean over layers, is highest for b (0.60) and lowest for a (0.20)."


def test_every_task_names_its_highest_and_lowest_architecture():
    runs = pd.DataFrame({"task": ["a", "a", "b"], "architecture": ["x", "y", "x"], "test_loss": [0.2, 0.1, 0.3]})
    first = "a: test loss is highest for x (0.20) and lowest for y (0.10)."
    assert of_tasks(runs, "test_loss") == f"{first} b: test loss is 0.30 throughout."
