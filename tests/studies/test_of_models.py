"""What studies measure on models is read from the archive where there are no weights."""

import pandas as pd

from studies import of_models
from vilbert_lib import runs


def test_tables_of_models_are_the_same_with_and_without_their_weights(elsewhere, tiny_root, tiny_profile):
    start = runs.configure(
        tiny_profile, tiny_root, "conceptual_captions", "middle_fusion", objectives=("mlm", "ap")
    )
    tuned = runs.configure(tiny_profile, tiny_root, "hateful_memes", "middle_fusion")

    def measured() -> dict[str, pd.DataFrame]:
        pretrained, finetuned = runs.ensure([start, tuned], tiny_root)
        over = (finetuned, tiny_root, tiny_root, 12)
        return {
            **{f"pulls, trained {now}": of_models.pulls(pretrained, tiny_root, trained=now) for now in (0, 1)},
            **of_models.poolings(finetuned, tiny_root, "unbiased_cka", tiny_profile.alignment),
            "over n": of_models.profiles_over_n(*over, ["cka", "mknn"], [5, 6], 3, 1),
            "over k": of_models.profiles_over_k(*over, ["mknn"], [2, 3]),
        }

    made = measured()
    assert made["pulls, trained 0"].ratio.tolist() != made["pulls, trained 1"].ratio.tolist()
    assert set(made["over n"].n) == {5, 6} and set(made["over k"].k) == {2, 3}
    runs.keep(tiny_profile)
    elsewhere()
    kept = measured()
    for name, table in made.items():
        pd.testing.assert_frame_equal(kept[name], table, rtol=1e-5, check_dtype=False)
