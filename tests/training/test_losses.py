"""Each term of the loss against its formula, and what an empty one gives."""

import math

import pytest
import torch
import torch.nn.functional as F

from vilbert_lib.config import ModelConfig, TrainConfig, arrange
from vilbert_lib.model.heads import PretrainingModel
from vilbert_lib.training import losses


def unit(*shape, seed=0):
    return F.normalize(
        torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=-1
    )


def plain_info_nce(queries, keys, wanted, temperature, never):
    total = 0.0
    for i, query in enumerate(queries):
        scores = [float(query @ key) / temperature for key in keys]
        kept = [math.exp(s) for j, s in enumerate(scores) if j == wanted[i] or not never[i][j]]
        total -= scores[wanted[i]] - math.log(sum(kept))
    return total


def test_info_nce_is_the_formula():
    queries, keys, wanted = unit(5, 8), unit(9, 8, seed=1), torch.tensor([0, 3, 8, 2, 2])
    never = torch.zeros(5, 9, dtype=torch.bool)
    never[0, 4] = never[3, 7] = True
    loss, right = losses.info_nce(queries, keys, wanted, 0.2, never)
    assert float(loss) == pytest.approx(plain_info_nce(queries, keys, wanted, 0.2, never), rel=1e-9)
    nearest = (queries @ keys.T).masked_fill(never, -2).argmax(1)
    assert int(right) == int((nearest == wanted).sum())


def test_info_nce_of_nothing_is_zero_and_has_a_gradient():
    queries = torch.zeros(0, 8, requires_grad=True)
    loss, right = losses.info_nce(queries, unit(4, 8).float(), torch.zeros(0, dtype=torch.long), 0.1)
    loss.backward()
    assert float(loss) == float(right) == 0 and queries.grad.shape == (0, 8)


def test_the_contrastive_term_goes_both_ways():
    text, vision = unit(6, 4) * 3, unit(6, 4, seed=1) * 0.1  # lengths do not count
    never = torch.zeros(6, 6, dtype=torch.bool)
    own = list(range(6))
    wanted = (
        plain_info_nce(unit(6, 4), unit(6, 4, seed=1), own, 0.07, never)
        + plain_info_nce(unit(6, 4, seed=1), unit(6, 4), own, 0.07, never)
    ) / 12
    loss, told = losses.contrastive((text, vision), torch.arange(6), 0.07)
    assert float(loss) == pytest.approx(wanted, rel=1e-9)
    ways = [(x @ y.T).argmax(1) for x, y in ((unit(6, 4), unit(6, 4, seed=1)), (unit(6, 4, seed=1), unit(6, 4)))]
    assert float(told) == sum(int((way == torch.arange(6)).sum()) for way in ways) / 2


def test_samples_with_one_text_are_no_negatives_of_each_other():
    text = unit(4, 4)
    text[1] = text[0]
    vision = text.clone()
    apart, same = torch.tensor([0, 1, 2, 3]), torch.tensor([5, 5, 2, 3])
    told_apart, told = (losses.contrastive((text, vision), texts, 0.01)[0] for texts in (apart, same))
    assert float(told_apart) > 0.3 > 0.01 > float(told)


def test_pooled_states_of_two_widths_cannot_be_contrasted():
    with pytest.raises(ValueError, match="one width: 4 and 6"):
        losses.contrastive((unit(3, 4), unit(3, 6)), torch.arange(3), 0.1)


def test_under_autocast_cosines_are_computed_in_float32(pretraining):
    text, vision = unit(64, 32).float(), unit(64, 32, seed=1).float()
    own, never = torch.arange(64), torch.eye(64, dtype=torch.bool).roll(1, 0)

    def terms(text, vision):
        return [
            losses.info_nce(text, vision, own, 0.05, never)[0],
            losses.contrastive((3 * text, vision), own, 0.05)[0],
        ]

    wanted = terms(text, vision)
    with torch.autocast("cpu", torch.bfloat16):
        assert all(map(torch.equal, terms(text, vision), wanted))
        patches = pretraining[0].predict_patches(torch.randn(9, 16))
        assert patches.dtype == torch.float32
        torch.testing.assert_close(patches.norm(dim=1), torch.ones(9), rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def pretraining():
    """A pretraining model, a batch of five pairs of which the third is swapped, and what hides its patches."""
    torch.manual_seed(0)
    config = ModelConfig(width=16, heads=2, coattention_width=16, pooled_width=8, patch_size=16, vocab_size=40)
    model = PretrainingModel(arrange(config, "late_fusion")).eval()
    mask = torch.zeros(5, 16, dtype=torch.bool)
    mask[:, [2, 9]] = mask[4, 3] = True
    aligned = torch.tensor([1, 1, 0, 1, 1])
    whole = torch.randn(5, 3, 64, 64)
    hidden = mask.view(5, 1, 4, 4).repeat_interleave(16, 2).repeat_interleave(16, 3)
    batch = {
        "input_ids": torch.randint(5, 40, (5, 6)),
        "attention_mask": torch.ones(5, 6, dtype=torch.bool),
        "whole_pixel_values": whole,
        "pixel_values": whole.masked_fill(hidden, 0),
        "patch_mask": mask,
        "mim_index": torch.nonzero(mask & aligned.bool()[:, None]),
        "mim_unmasked_index": torch.nonzero(~mask & aligned.bool()[:, None]),
        "mlm_targets": torch.full((5, 6), -100),
        "mlm_index": torch.zeros(0, 2, dtype=torch.long),
        "aligned": aligned,
        "aligned_index": torch.nonzero(aligned)[:, 0],
        "text": torch.arange(5),
        "label": aligned,
    }
    return model, batch


@pytest.mark.parametrize(("positions", "count"), [("masked", 9), ("unmasked", 55)])
def test_masked_patches_are_compared_with_all_patches_of_the_whole_images(pretraining, positions, count):
    model, batch = pretraining
    config = TrainConfig(mim_positions=positions, temperature=0.3)
    output = model(batch["input_ids"], batch["attention_mask"], batch["pixel_values"])[1]
    loss, right, found = losses.masked_patches(model, output, batch, config)
    whole = model(batch["input_ids"], batch["attention_mask"], batch["whole_pixel_values"])[1]
    total, hits, asked = 0.0, 0, 0
    keys = [model.predict_patches(s)[1:] for s in whole.vision_states[-1]]
    for row in (0, 1, 3, 4):
        for patch in range(16):
            if bool(batch["patch_mask"][row, patch]) == (positions == "masked"):
                query = model.predict_patches(output.vision_states[-1][row, patch + 1])
                scores = torch.cat([k @ query / 0.3 for k in keys])
                total += float(scores.logsumexp(0) - scores[16 * row + patch])
                hits += int(scores.argmax() == 16 * row + patch)
                asked += 1
    assert int(found) == asked == count
    assert float(loss) == pytest.approx(total, rel=1e-5) and int(right) == hits


def test_a_batch_with_nothing_hidden_or_nothing_aligned_has_a_loss_of_zero(pretraining):
    model, batch = pretraining
    nothing = {
        "mim_index": torch.zeros(0, 2, dtype=torch.long),
        "aligned": torch.zeros(5, dtype=torch.long),
        "aligned_index": torch.zeros(0, dtype=torch.long),
    }
    config = TrainConfig(contrastive_weight=1.0)
    loss, sums = losses.pretraining(("mlm", "mim"), config)(model, batch | nothing)
    loss.backward()
    assert float(loss) == 0 == float(sums["mim_n"]) == float(sums["mlm_n"]) == float(sums["contrastive_n"])
    assert all(v == 0 for v in losses.means(sums, "train").values())
    model.zero_grad()


def test_the_terms_of_pretraining_are_weighted(pretraining):
    model, batch = pretraining
    targets = batch["input_ids"].where(torch.arange(6) == 2, -100)
    chosen = batch | {"mlm_targets": targets, "mlm_index": torch.nonzero(targets != -100)}
    config = TrainConfig(mlm_weight=2.0, ap_weight=0.5, mim_weight=3.0, contrastive_weight=0.25)
    total, sums = losses.pretraining(("mlm", "ap", "mim"), config)(model, chosen)
    means = losses.means(sums, "t")
    wanted = (
        2 * means["t_mlm_loss"]
        + 0.5 * means["t_ap_loss"]
        + 3 * means["t_mim_loss"]
        + 0.25 * means["t_contrastive_loss"]
    )
    assert float(total) == pytest.approx(wanted, rel=1e-5) == means["t_loss"]
