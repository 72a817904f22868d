"""A real pretrained text model, where this machine has one (``VILBERT_REAL_WEIGHTS``)."""

import os
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from vilbert_lib import weights
from vilbert_lib.config import ModelConfig
from vilbert_lib.data import tokenizer
from vilbert_lib.model import pretrained
from vilbert_lib.model.vilbert import ViLBERT

FOLDER = Path(os.environ.get("VILBERT_REAL_WEIGHTS", "nowhere")) / "minilm"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="VILBERT_REAL_WEIGHTS names no folder with minilm")
TEXTS = ["A man and his dog at the sea.", "Why?", "the quick brown fox jumps over 13 lazy dogs, naturally"]


@pytest.fixture(scope="module")
def identity(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VILBERT_DATA", str(tmp_path_factory.mktemp("data")))
        yield weights.identify(str(FOLDER))


def test_the_tokenizer_gives_the_library_s_ids(identity):
    ids, lengths = tokenizer.of_weights(identity).encode(TEXTS, 16)
    expected = AutoTokenizer.from_pretrained(FOLDER)(TEXTS, max_length=16, truncation=True)["input_ids"]
    assert [row[:length].tolist() for row, length in zip(ids, lengths, strict=True)] == expected


def test_the_stream_has_the_library_s_hidden_states(identity):
    model = pretrained.described(
        ModelConfig(text_weights=identity, num_layers=6, width=384, heads=12, dropout=0.0)
    )
    (width, layers), _ = pretrained.stream_sizes(model)
    assert (width, layers) == (384, 6)
    streams = ViLBERT(model).eval()
    library = AutoModel.from_pretrained(FOLDER, attn_implementation="sdpa").eval()
    batch = AutoTokenizer.from_pretrained(FOLDER)(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        ours = streams(batch["input_ids"], batch["attention_mask"], torch.zeros(3, 3, 64, 64)).text_states
        theirs = library(**batch, output_hidden_states=True).hidden_states
    assert len(ours) == len(theirs) == 7
    for own, other in zip(ours, theirs, strict=True):
        assert torch.equal(own[batch["attention_mask"].bool()], other[batch["attention_mask"].bool()])
