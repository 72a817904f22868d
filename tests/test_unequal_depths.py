"""A text stream of three layers and a vision stream of six: layers are paired by relative depth everywhere."""

from types import SimpleNamespace

import pytest
import timm
import torch
from timm.models import save_for_hf
from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast

from studies import dose_response, of_models
from studies.model_questions import across_streams
from studies.sample_size import layer_profile
from vilbert_lib import figures, runs
from vilbert_lib.config import AlignmentConfig, TrainConfig
from vilbert_lib.metrics import MEASURES
from vilbert_lib.model.streams import Output
from vilbert_lib.representations import layer_features, paired_layers, sample_rows
from vilbert_lib.stats import alignment
from vilbert_lib.training import alignment_term

SETTINGS = AlignmentConfig(measures=("cka", "mknn", "rsa"), n_samples=12, k=3)
PAIRS = [(0, 0), (0, 1), (1, 2), (1, 3), (2, 4), (2, 5)]


@pytest.mark.parametrize(
    ("depths", "pairs"),
    [
        ((3, 6), PAIRS),
        ((6, 3), [(v, t) for t, v in PAIRS]),
        ((4, 4), [(0, 0), (1, 1), (2, 2), (3, 3)]),
        ((2, 3), [(0, 0), (0, 1), (1, 2)]),
        ((1, 3), [(0, 0), (0, 1), (0, 2)]),
    ],
)
def test_pairs_are_at_the_same_relative_depth(depths, pairs):
    assert paired_layers(*depths) == pairs


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghi"]))
    BertTokenizerFast(vocab=str(folder / "vocab.txt"), do_lower_case=True).save_pretrained(folder / "text")
    torch.manual_seed(0)
    text = {"vocab_size": 14, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}
    BertForMaskedLM(BertConfig(**text, intermediate_size=32)).save_pretrained(folder / "text")
    sizes = {"img_size": 32, "patch_size": 16, "embed_dim": 24, "depth": 6, "num_heads": 2}
    vision = timm.create_model("vit_tiny_patch16_224", num_classes=7, **sizes)
    vision.pretrained_cfg |= {"input_size": (3, 32, 32)}
    save_for_hf(vision, folder / "vision", model_args=sizes, safe_serialization=True)
    return {"text_weights": str(folder / "text"), "vision_weights": str(folder / "vision")}


@pytest.fixture(scope="module")
def run(weights, tiny_root, tiny_profile):
    train = {"epochs": 2, "alignment_weight": 0.1, "alignment_layers": (2, 5)}
    config = runs.configure(tiny_profile, tiny_root, "hateful_memes", "t1-v2", model=weights, train=train)
    return runs.train(config, tiny_root)


@pytest.fixture(scope="module")
def features(run, tiny_root):
    data = runs.dataset(run.config, tiny_root, "test")
    return layer_features(run.model(tiny_root).vilbert, data, sample_rows(data, 12), embeddings=True)


def test_training_logs_the_pairs_of_every_epoch_and_all_pairs_are_measured_afterwards(run, features, tiny_root):
    of_epoch = runs.training_alignments([run]).query("measure == 'mknn'").groupby("epoch")
    assert len(of_epoch) == 3
    for _, rows in of_epoch:
        assert sorted(zip(rows.text_layer, rows.vision_layer, strict=True)) == PAIRS
    table = runs.alignments([run], SETTINGS, tiny_root)
    assert set(table.epoch) == {0, run.summary["best_epoch"]}
    rows = table[table.epoch == table.best_epoch].set_index(["measure", "text_layer", "vision_layer"])
    assert rows[rows.paired].p_best.notna().all() and rows[~rows.paired].p_best.isna().all()
    for t, v in PAIRS:
        wanted = MEASURES["cka"](features[f"t{t}"], features[f"v{v}"])
        assert rows.value["cka", t, v] == pytest.approx(wanted, abs=1e-6)


def test_aggregates_and_figures_reach_the_last_layer_of_both(run, tiny_root):
    table = runs.alignments([run], SETTINGS, tiny_root)
    best = table[(table.epoch == table.best_epoch) & (table.measure == "cka")]
    values = best.set_index(["text_layer", "vision_layer"]).value.loc[PAIRS]
    assert alignment.per_run(table, "last").cka.item() == values.iloc[-1]
    assert alignment.per_run(table, "mean").cka.item() == pytest.approx(values.mean())
    pushed = dose_response._at_layers(best, [2, 5])
    assert sorted(zip(pushed.text_layer, pushed.vision_layer, strict=True)) == [(1, 2), (2, 5)]

    [axis] = figures.layer_profiles(best, marks={"t1-v2": (1,)}).axes
    [line] = axis.lines
    assert line.get_xdata().tolist() == list(range(6))
    assert line.get_ydata().tolist() == pytest.approx(values.tolist()) and line.get_markevery() == [2]
    assert "3 text, 6 vision layers" in axis.get_xlabel()
    panel, _ = figures.layer_heatmaps(best, "cka").axes
    assert panel.images[0].get_array().shape == (3, 6)


def test_tables_of_a_model_compare_the_pairs(run, features, tiny_root):
    layers = {name: x for name, x in features.items() if not name.endswith("-1")}
    wanted = [MEASURES["cka"](features[f"t{t}"], features[f"v{v}"]) for t, v in PAIRS]
    profile = layer_profile(layers, ["cka"], k=3)
    assert profile.layer.tolist() == list(range(6)) and profile.value.tolist() == pytest.approx(wanted, abs=1e-6)
    across = across_streams({"cls": features}, "cka").set_index("layer").value
    assert across.index.tolist() == [-1, *range(6)] and across.loc[0:].tolist() == pytest.approx(wanted, abs=1e-6)
    table = of_models.batches(run, tiny_root, [0, 5], [4])
    assert table.pair.tolist() == ["layers 0", "text layer 2, vision layer 5"]


def test_the_alignment_term_pushes_the_pairs():
    states = [tuple(torch.randn(6, 2, 4) for _ in range(depth + 1)) for depth in (3, 6)]
    output = Output(*states, (states[0][-1][:, 0],) * 2, states[0][-1][:, 0])
    text, vision = ([state[:, 0] for state in stream[1:]] for stream in states)

    def term(*layers: int) -> float:
        return alignment_term.alignment(output, TrainConfig(alignment_layers=layers)).item()

    assert term() == pytest.approx(alignment_term.unbiased_cka(text[2], vision[5]).item(), abs=1e-6)
    assert term(2) == pytest.approx(alignment_term.unbiased_cka(text[1], vision[2]).item(), abs=1e-6)
    with pytest.raises(ValueError, match=r"alignment_layers \[6\]: the last layer is 5"):
        term(6)


def test_a_run_of_equal_depths_in_the_same_table_keeps_its_own_pairs(run, tiny_root):
    def of_shallow(*arguments, **options):
        known = run.alignment(*arguments, **options)
        return known[known.vision_layer < 3]

    shallow = SimpleNamespace(alignment=of_shallow, summary=run.summary, describe=lambda: {"run": "equal"})
    table = runs.alignments([run, shallow], SETTINGS, tiny_root)
    rows = table[table.paired & (table.epoch == 0) & (table.measure == "cka")]
    of_run = {
        name: sorted(zip(own.text_layer, own.vision_layer, strict=True)) for name, own in rows.groupby("run")
    }
    assert of_run == {run.config.id: PAIRS, "equal": [(0, 0), (1, 1), (2, 2)]}
