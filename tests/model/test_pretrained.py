"""The way that the profile ``base`` takes: tokenizer and text stream from published files."""

import dataclasses

import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

from vilbert_lib import runs
from vilbert_lib.data import tokenizer


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A BERT of three layers and its tokenizer, saved by transformers itself."""
    folder = tmp_path_factory.mktemp("published") / "bert"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "the", "fox", "cat", "##s", "look", "walk"]
    vocabulary = folder.parent / "vocab.txt"
    vocabulary.write_text("\n".join(words))
    BertTokenizerFast(vocab=str(vocabulary), do_lower_case=True).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=24, num_hidden_layers=12, num_attention_heads=2, intermediate_size=48
    )
    BertModel(config).save_pretrained(folder)
    return folder


def test_the_published_tokenizer_is_used_as_it_is(published):
    words = tokenizer.of_weights(str(published))
    ids, lengths = words.encode(["The foxs look", "a"], 16)
    assert words.tokens(ids[0]) == ["[CLS]", "the", "fox", "##s", "look", "[SEP]"]
    assert lengths.tolist() == [6, 3] and words.tokens(ids[1])[3:] == ["[PAD]"] * 3


def test_a_run_starts_from_published_text_weights(published, tiny_root, tiny_profile):
    model = dataclasses.replace(tiny_profile.model, text_weights=str(published))
    profile = dataclasses.replace(tiny_profile, model=model)
    config = runs.configure(profile, tiny_root, "hateful_memes", "middle_fusion", train={"epochs": 1})
    assert config.data.endswith(str(published)) and config.model.vocab_size == 12
    untrained = runs.build_model(config, tiny_root)
    reference = BertModel.from_pretrained(published, add_pooling_layer=False).state_dict()
    assert all(torch.equal(t, reference[n]) for n, t in untrained.vilbert.bert.state_dict().items())
    assert untrained.vilbert.bert.config.hidden_size == 24  # wider than the vision stream's 16
    assert runs.train(config, tiny_root).finished


def test_a_tokenizer_that_cannot_be_had_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(OSError, match=r"tokenizer of .*nowhere.* could not be loaded"):
        tokenizer.of_weights(str(tmp_path / "nowhere"))
