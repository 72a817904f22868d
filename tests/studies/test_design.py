"""What is known before training is refused before training, by the name of the parameter."""

from types import SimpleNamespace

import pytest

from studies import design
from vilbert_lib import runs
from vilbert_lib.config import with_settings
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


@pytest.fixture
def finished(store, tiny_root, tiny_profile):
    """Two runs that differ in the learning rate alone, one of another seed, and a pretraining."""
    described = [(0, 1e-3, ()), (0, 2e-3, ()), (1, 1e-3, ()), (0, 1e-3, ("mlm",))]
    configs = [
        runs.configure(
            tiny_profile,
            tiny_root,
            "conceptual_captions" if objectives else "hateful_memes",
            "middle_fusion",
            seed,
            objectives=objectives,
            train={"epochs": 1, "lr": lr, "n_train": 8},
        )
        for seed, lr, objectives in described
    ]
    return [run.config.id for run in runs.ensure(configs, tiny_root, jobs=1)]


def test_runs_that_exist_are_repetitions_of_each_other(finished, tiny_root, tiny_profile):
    """Of one task, architecture and seed only one may be named, unless the study compares variants."""
    first, other, second_seed, pretrained = finished
    p = SimpleNamespace(runs=[first, second_seed], tasks=[], architectures=[], seeds=[], baselines=["text_only"])
    assert [config.id for config in design.existing(p)] == [first, second_seed]
    found = (p.tasks, p.architectures, p.seeds, p.baselines)
    assert found == (["hateful_memes"], ["middle_fusion"], [0, 1], [])
    p.runs = [first, other]
    with pytest.raises(ValueError, match=f"runs names {first} and {other}, which differ in their settings"):
        design.existing(p)
    assert [config.id for config in design.existing(p, variants=True)] == [first, other]
    p.runs = [pretrained]
    with pytest.raises(ValueError, match=f"runs names the pretraining {pretrained}: runs of labelled tasks"):
        design.existing(p)
    p.runs = []
    assert design.existing(p) == []

    of_finished = [runs.open_run(run_id).config for run_id in (first, second_seed)]
    missing = runs.configure(tiny_profile, tiny_root, "hateful_memes", "late_fusion")
    design.check_recorded("primary_target", "test_auroc", [*of_finished, missing])
    with pytest.raises(ValueError, match=rf"primary_target 'test_micro_f1' .* run {first}: it has .*test_auroc"):
        design.check_recorded("primary_target", "test_micro_f1", of_finished)


def test_a_name_that_would_have_no_effect_is_refused(tiny_root, tiny_profile):
    p = SimpleNamespace(tasks=["hateful_memes"], seeds=[0], start_from={"late": "x"})
    with pytest.raises(ValueError, match="unknown architecture 'late'"):
        design.configurations(tiny_profile, tiny_root, p, ["late_fusion"])
    p.start_from = {}
    mistyped = with_settings(tiny_profile, {"train": {"mm_imdbb": {"lr": 1e-4}}})
    with pytest.raises(ValueError, match=r"unknown task in the settings 'mm_imdbb'; known: .*mm_imdb"):
        design.configurations(mistyped, tiny_root, p, ["late_fusion"])
