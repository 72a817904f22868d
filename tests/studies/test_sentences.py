"""Sentences below figures give the numbers that are drawn."""

import numpy as np
import pandas as pd

from studies.sentences import highest_and_lowest


def test_the_ends_are_means_by_name_and_missing_numbers_are_left_out():
    values = pd.Series([0.5, 0.7, 0.2, np.nan], index=["a", "a", "b", "c"])
    said = highest_and_lowest(values, "Accuracy")
    assert said == "Accuracy is highest for a (0.60) and lowest for b (0.20)."
    pairs = pd.Series([1.0, 2.0], index=pd.MultiIndex.from_tuples([("a", 5), ("b", 5)]))
    assert highest_and_lowest(pairs, "It", 0) == "It is highest for b, 5 (2) and lowest for a, 5 (1)."


def test_equal_numbers_and_none_at_all_have_no_ends():
    assert highest_and_lowest(pd.Series({"a": 0.101, "b": 0.099}), "CKA", 2) == "CKA is 0.10 throughout."
    assert highest_and_lowest(pd.Series({"a": np.nan}), "CKA") == "CKA: there is no value."
