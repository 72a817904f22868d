"""Fields of a configuration as the command line gives them."""

import pytest

from vilbert_lib.commands.train import settings
from vilbert_lib.config import ModelConfig, TrainConfig


def test_values_get_the_type_of_their_field():
    pairs = ["lr=1e-4", "epochs=3", "augment=true", "betas=0.9,0.95", "precision=bf16"]
    assert settings(TrainConfig, pairs) == {
        "lr": 1e-4, "epochs": 3, "augment": True, "betas": (0.9, 0.95), "precision": "bf16",
    }  # fmt: skip
    assert settings(ModelConfig, ["t_biattention_ids=3,5"]) == {"t_biattention_ids": (3, 5)}


@pytest.mark.parametrize(("pair", "message"), [
    ("lr", "'lr' is not of the form name=value"),
    ("rate=1", "unknown field of TrainConfig 'rate'; known: .*lr"),
    ("epochs=2.5", "'epochs=2.5': epochs is of another type"),
    ("augment=yes", "'augment=yes': augment is of another type"),
])  # fmt: skip
def test_what_cannot_be_meant_is_named(pair, message):
    with pytest.raises(ValueError, match=message):
        settings(TrainConfig, [pair])
