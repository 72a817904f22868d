"""Rollout, Chefer's rules, Grad-CAM and integrated gradients against their definitions, written out."""

import dataclasses

import numpy as np
import pytest
import torch

from vilbert_lib.attribution import METHODS, attribute, methods, passes
from vilbert_lib.attribution.methods import grad_cam, grad_cam_layers
from vilbert_lib.config import ModelConfig
from vilbert_lib.model.heads import Classifier

TINY = ModelConfig(
    t_biattention_ids=(1,),
    v_biattention_ids=(1,),
    num_layers=2,
    width=16,
    heads=2,
    coattention_width=16,
    coattention_heads=2,
    pooled_width=16,
    image_size=32,
    patch_size=16,
    vocab_size=50,
)
IDS = torch.tensor([[2, 6, 7, 9, 8, 3], [2, 5, 3, 0, 0, 0]])
MASK_ID = 4
BATCH = {
    "input_ids": IDS,
    "attention_mask": IDS != 0,
    "pixel_values": torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)),
}
SINGLE = {"streams": "single", "t_biattention_ids": (), "v_biattention_ids": ()}


def model_of(**changes) -> Classifier:
    torch.manual_seed(1)
    model = Classifier(dataclasses.replace(TINY, **{"fusion": "sum"} | changes), 3).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)  # attention of a new model is the same everywhere
    return model


def test_log_odds_are_those_of_the_softmax_or_of_each_label():
    logits = torch.randn(4, 3)
    target = torch.tensor([0, 1, 2, 0])
    p = logits.softmax(1).gather(1, target[:, None])[:, 0]
    assert torch.allclose(passes.log_odds(logits, target, False), p.logit(), atol=1e-5)
    assert torch.equal(passes.log_odds(logits, target, True), logits.gather(1, target[:, None])[:, 0])


def test_rollout_is_the_product_of_the_steps_over_both_streams():
    seen = passes.run_pass(model_of(), BATCH)
    t, v = 6, 5
    for sample in range(2):
        whole, record = np.eye(t + v), iter(seen.record)
        for a in record:
            step = np.eye(t + v)
            p = a.probabilities[sample].mean(0).numpy()
            if a.kind == "text":
                step[:t, :t] = (np.eye(t) + p) / 2
            elif a.kind == "vision":
                step[t:, t:] = (np.eye(v) + p) / 2
            else:
                back = next(record).probabilities[sample].mean(0).numpy()
                step = np.block([[np.eye(t) / 2, p / 2], [back / 2, np.eye(v) / 2]])
            whole = step @ whole
        assert np.allclose(whole.sum(1), 1, atol=1e-5)
        row = whole[0] + whole[t]
        found = methods.rollout(seen)
        words = seen.words[sample].numpy()
        assert np.allclose(found.text[sample], row[:t] * words, atol=1e-5)
        assert np.allclose(found.patches[sample], row[t + 1 :], atol=1e-5)


def test_chefer_s_rules_as_the_paper_writes_them():
    seen = passes.run_pass(model_of(), BATCH)
    t, v = 6, 5
    found = methods.chefer(seen)
    for sample in range(2):
        tt, ii, ti, it = np.eye(t), np.eye(v), np.zeros((t, v)), np.zeros((v, t))
        steps = [
            (a.kind, (g[sample] * a.probabilities[sample]).clamp_min(0).mean(0).numpy().astype(float))
            for a, g in zip(seen.record, seen.gradients, strict=True)
        ]
        while steps:
            kind, bar = steps.pop(0)
            if kind == "text":
                tt, ti = tt + bar @ tt, ti + bar @ ti
            elif kind == "vision":
                ii, it = ii + bar @ ii, it + bar @ it
            else:
                _, back = steps.pop(0)

                def normal(r):
                    hat = r - np.eye(len(r))
                    sums = hat.sum(1, keepdims=True)
                    return np.divide(hat, sums, out=np.zeros_like(hat), where=sums > 0) + np.eye(len(r))

                nt, ni = normal(tt), normal(ii)
                tt, ii, ti, it = (
                    tt + bar @ it,
                    ii + back @ ti,
                    ti + nt.T @ bar @ ni,
                    it + ni.T @ back @ nt,
                )
        words = seen.words[sample].numpy()
        assert np.allclose(found.text[sample], (tt[0] + it[0]) * words, rtol=1e-3, atol=1e-6)
        assert np.allclose(found.patches[sample], (ii[0] + ti[0])[1:], rtol=1e-3, atol=1e-6)
        of_words, of_patches = (x[sample] for x in methods.chefer_between(seen))
        assert np.allclose(of_words, (ti * words[:, None])[:, 1:], rtol=1e-3, atol=1e-6)
        assert np.allclose(of_patches, (it * words)[1:], rtol=1e-3, atol=1e-6)
    assert found.patches.max() > 0 and found.text.max() > 0


def test_grad_cam_is_the_weighted_sum_of_channels_and_zero_after_the_last_layer():
    seen = passes.run_pass(model_of(), BATCH)
    maps = grad_cam_layers(seen)
    assert len(maps) == 3
    state, gradient = (x[0].double().numpy() for x in seen.states["vision"][1])
    by_hand = np.maximum(state[1:] @ gradient[1:].mean(0), 0)
    assert np.allclose(maps[1].patches[0], by_hand, rtol=1e-4, atol=1e-7)
    state, gradient = (x[1].double().numpy() for x in seen.states["text"][1])
    assert maps[1].text[1].tolist() == pytest.approx([0, max(state[1] @ gradient[1], 0), 0, 0, 0, 0], rel=1e-4)
    assert maps[2].patches.max() == 0  # the head reads the first token
    mean = grad_cam(seen)
    largest = maps[1].patches.max(1, keepdims=True)
    assert np.allclose(mean.patches, maps[1].patches / np.maximum(largest, 1e-30) / 2, atol=1e-6)


def test_states_that_the_mean_is_read_from_bear_on_the_score_to_the_end():
    seen = passes.run_pass(model_of(pooling="mean"), BATCH)
    assert seen.states["vision"][-1][1][:, 1:].abs().max() > 0
    assert torch.allclose(seen.reads["text"][1], torch.tensor([0, 0.5, 0.5, 0, 0, 0]))


def test_integrated_gradients_sum_to_what_the_sample_has_more_than_its_baseline():
    model = model_of()
    target = torch.tensor([2, 0])
    found = attribute(model, BATCH, MASK_ID, target, ("integrated_gradients",))["integrated_gradients"]
    words, mask = passes.words_of(BATCH["attention_mask"]), BATCH["attention_mask"]
    with torch.no_grad():
        score = passes.log_odds(model(IDS, mask, BATCH["pixel_values"])[0], target, False)
        empty = model(IDS.masked_fill(words, MASK_ID), mask, torch.zeros(2, 3, 32, 32))[0]
        gap = (score - passes.log_odds(empty, target, False)).numpy()
    total = found.text.sum(1) + found.patches.sum(1)
    assert np.abs(gap).min() > 0.1
    assert np.allclose(total, gap, rtol=0.03, atol=0.03)


@pytest.mark.parametrize("changes", [{}, SINGLE, {"pooling": "mean"}, {"vision_passes": 2}])
def test_a_sample_s_relevance_does_not_depend_on_the_others_nor_on_padding(changes):
    model = model_of(**changes)
    together = attribute(model, BATCH, MASK_ID)
    alone = {name: values[1:] for name, values in BATCH.items()}
    alone = alone | {name: alone[name][:, :3] for name in ("input_ids", "attention_mask")}
    for name, found in attribute(model, alone, MASK_ID).items():
        assert np.allclose(found.text[0], together[name].text[1, :3], rtol=1e-3, atol=1e-5), name
        assert np.allclose(found.patches[0], together[name].patches[1], rtol=1e-3, atol=1e-5), name
        assert (together[name].text[1, [0, 2, 3, 4, 5]] == 0).all()
        assert np.abs(found.patches).max() > 0 or name == "grad_cam"  # which is zero where all is negative


def test_a_stream_that_the_label_is_not_read_from_has_no_relevance():
    none = {"streams": "text", "t_biattention_ids": (), "v_biattention_ids": ()}
    for name, found in attribute(model_of(**none), BATCH, MASK_ID).items():
        assert np.abs(found.patches).max() == 0 and np.abs(found.text).max() > 0, name


def test_what_cannot_be_explained_is_named():
    with pytest.raises(ValueError, match=r"the classes are 0\.\.2"):
        attribute(model_of(), BATCH, MASK_ID, 3)
    with pytest.raises(ValueError, match="method 'lime'"):
        attribute(model_of(), BATCH, MASK_ID, methods=("lime",))
    assert list(attribute(model_of(), BATCH, MASK_ID)) == list(METHODS)
