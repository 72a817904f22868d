"""Tables of attributions are made once, and read from the archive where there are no weights."""

import pandas as pd

from studies import attribution as study
from vilbert_lib import runs
from vilbert_lib.attribution import METHODS, of_runs, trust


def test_tables_are_the_same_with_and_without_weights(elsewhere, tiny_root, tiny_profile):
    config = runs.configure(tiny_profile, tiny_root, "hateful_memes", "middle_fusion", train={"epochs": 1})

    def measured() -> dict[str, pd.DataFrame]:
        [run] = runs.ensure([config], tiny_root)
        return {
            "entropies": of_runs.entropies(run, tiny_root, 6, trained=True),
            "before": of_runs.entropies(run, tiny_root, 6, trained=False),
            "curves": of_runs.curves(run, tiny_root, 6, 2),
            "pointing": of_runs.pointing(run, tiny_root, 6),
            "maps": of_runs.maps(run, tiny_root, [1, 3], trained=True),
            "between": of_runs.between(run, tiny_root, [1, 3]),
            "looks": of_runs.looks(run, tiny_root, [1]),
        }

    made = measured()
    assert set(made["entropies"].moment) == {"trained"} and len(made["entropies"]) == 6 * 2 * 30
    blocks = made["entropies"].query("kind == 'text asks'")[["index", "layer"]].drop_duplicates()
    assert blocks.to_numpy().tolist() == [[0, 6], [1, 7], [2, 8]]
    assert set(made["curves"].method) == {*METHODS, "random"} and set(made["curves"]["sample"]) == set(range(6))
    assert set(made["pointing"].method) == set(METHODS) and made["pointing"].chance.between(0, 1).all()
    assert set(made["maps"].layer) == {-2, *range(-1, 12)} and set(made["maps"]["sample"]) == {1, 3}
    text = made["looks"].query("kind == 'vision asks'").groupby(["index", "head"]).value.sum()
    assert len(text) == 6 and text.between(0, 1).all()
    runs.keep(tiny_profile)
    elsewhere()
    for name, table in measured().items():
        pd.testing.assert_frame_equal(table, made[name], rtol=1e-4, atol=1e-6, check_dtype=False)


def test_multilabel_tasks_are_asked_label_by_label(elsewhere, tiny_root, tiny_profile):
    [run] = runs.ensure(
        [runs.configure(tiny_profile, tiny_root, "mm_imdb", "early_fusion", train={"epochs": 1})], tiny_root
    )
    table = of_runs.curves(run, tiny_root, 4, 2)
    assert table.right.dtype == bool and table.value.between(0, 1).all()
    tests = trust(pd.concat([table.assign(model=m) for m in "ab"], ignore_index=True))
    rows = list(study.of_methods(tests))
    assert len(rows) == len(tests.groupby(["side", "method"])) and all("tests" in row["sentence"] for row in rows)
