"""What is known before training is refused before training, by the name of the parameter."""

from types import SimpleNamespace

import pytest

from studies import design
from vilbert_lib.stats import alignment


def test_a_list_that_is_empty_or_holds_a_value_twice_is_named():
    design.check_lists(SimpleNamespace(seeds=[0, 1], layers=[], profile="quick"), "seeds")
    with pytest.raises(ValueError, match="seeds is empty: give at least one"):
        design.check_lists(SimpleNamespace(seeds=[]), "seeds")
    with pytest.raises(ValueError, match=r"seeds \[0, 1, 0\] holds 0 twice"):
        design.check_lists(SimpleNamespace(seeds=[0, 1, 0]))


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("hateful_meme", "tasks 'hateful_meme' is no task of .* holds .*hateful_memes"),
        ("conceptual_captions", "no labels"),
    ],
)
def test_a_task_that_the_root_lacks_or_that_has_no_labels_is_named(tiny_root, task, message):
    design.check_tasks("tasks", ["hateful_memes"], tiny_root)
    with pytest.raises(ValueError, match=message):
        design.check_tasks("tasks", ["hateful_memes", task], tiny_root)


def test_an_optional_task_may_be_empty_or_elsewhere_and_not_mistyped(tiny_root):
    for name in ("", "own", "vqa"):
        design.check_optional_task("compared", name, ["own"], tiny_root)
    with pytest.raises(ValueError, match="unknown compared 'hateful_meme'"):
        design.check_optional_task("compared", "hateful_meme", ["own"], tiny_root)


def test_architectures_that_cannot_be_compared_are_named():
    design.check_placements("architectures", ["baseline", "linear_probe", "middle_fusion", "t3-v4"], at_least=2)
    with pytest.raises(ValueError, match=r"architectures \['text_only'\] have no two streams"):
        design.check_placements("architectures", ["middle_fusion", "text_only"])
    with pytest.raises(ValueError, match="at least 3 with co-attention blocks"):
        design.check_placements("architectures", ["baseline", "middle_fusion", "late_fusion"], at_least=3)


def test_a_baseline_is_known_and_no_architecture():
    design.check_baselines(["middle_fusion"], ["text_only", "baseline"])
    with pytest.raises(ValueError, match="'baseline' is among the architectures"):
        design.check_baselines(["middle_fusion", "baseline"], ["baseline"])
    with pytest.raises(ValueError, match="unknown architecture 'text'"):
        design.check_baselines(["middle_fusion"], ["text"])


def test_a_target_is_one_that_every_task_records(tiny_root):
    design.check_target("primary_target", "test_auroc", ["hateful_memes"], tiny_root)
    with pytest.raises(
        ValueError, match=r"primary_target 'test_auroc' is not recorded for easy_vqa: .*test_accuracy"
    ):
        design.check_target("primary_target", "test_auroc", ["hateful_memes", "easy_vqa"], tiny_root)


def test_a_declared_measure_is_one_that_runs_record(tiny_profile):
    alignment.declare("measure", "cka", tiny_profile.alignment.measures)
    with pytest.raises(ValueError, match="measure 'jaccard' is not recorded at this profile: name one of cka, "):
        alignment.declare("measure", "jaccard", tiny_profile.alignment.measures)


def test_a_comparison_needs_two_that_are_there():
    design.check_pair("placements", ["a", "b"], ["a", "b", "c"])
    for pair in (["a"], ["a", "d"], ["a", "b", "c"]):
        with pytest.raises(ValueError, match=r"placements \[.*\]: two of a, b, c are needed"):
            design.check_pair("placements", pair, ["a", "b", "c"])
