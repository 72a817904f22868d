"""How focused attention is: its entropy, head by head."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from vilbert_lib import stats as statistics
from vilbert_lib.attribution.passes import inputs_of
from vilbert_lib.model.attention import recording

SELF, CO = "self-attention", "co-attention"
GROUPS = {"text": SELF, "vision": SELF, "text asks": CO, "vision asks": CO}


@torch.no_grad()
def entropies(model: nn.Module, batch: dict[str, Tensor]) -> pd.DataFrame:
    """Entropy of every head's attention, normalised by length: 1 is the same for all keys, 0 one key alone.

    -sum p log p over the keys, divided by the logarithm of their number, without padding; the mean over the
    asking tokens, without padding. One row a ``kind``, ``index`` (see
    :class:`vilbert_lib.model.attention.Attention`), ``head`` and ``sample``, with ``keys`` and ``value``.
    """
    ids, mask, pixels = inputs_of(batch, next(model.parameters()).device)
    content = mask.bool()
    with recording(model) as record:
        _, output = model(ids, mask, pixels)
    patches = torch.ones(output.vision_states[0].shape[:2], dtype=torch.bool, device=content.device)
    tokens = {"text": content, "vision": patches, "joint": torch.cat([content, patches], 1)}
    asked = {"text asks": ("text", "vision"), "vision asks": ("vision", "text")}
    rows = []
    for a in record:
        queries, keys = (tokens[name] for name in asked.get(a.kind, (a.kind, a.kind)))
        counts = keys.sum(1)
        by_query = torch.special.entr(a.probabilities).sum(-1) / counts.log()[:, None, None]  # (B, H, queries)
        by_head = (by_query * queries[:, None]).sum(-1) / queries.sum(1)[:, None]
        n, heads = by_head.shape
        rows.append(
            pd.DataFrame(
                {
                    "kind": a.kind,
                    "index": a.index,
                    "head": np.tile(np.arange(heads), n),
                    "sample": np.repeat(np.arange(n), heads),
                    "keys": np.repeat(counts.cpu().numpy(), heads),
                    "value": by_head.double().cpu().numpy().ravel(),
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


def focus(table: pd.DataFrame) -> pd.DataFrame:
    """Is co-attention more focused than self-attention? From :func:`entropies` of several models.

    ``table`` has the columns ``model``, ``moment`` (``trained`` or ``untrained``) beside. The entropies of a
    sample are averaged within each kind and then over both kinds of a group: words are keys in one of the two
    and patches in the other, in either group, so no group has the longer rows. Co-attention less
    self-attention, sample by sample: one row a moment, and ``learned`` for trained less untrained, with the
    columns of :func:`statistics.paired` (clusters are models) and ``d``, the mean over the deviation of the
    models' means.
    """
    by = ["moment", "model", "sample", "kind"]
    kinds = table[table.kind.isin(GROUPS)].groupby(by, sort=False).value.mean().reset_index()
    groups = kinds.assign(attention=kinds.kind.map(GROUPS))
    means = groups.groupby(["moment", "model", "sample", "attention"], sort=False).value.mean().reset_index()
    wide = means.pivot(index=["model", "sample", "attention"], columns="moment", values="value")
    moments = {"untrained": wide.untrained, "trained": wide.trained, "learned": wide.trained - wide.untrained}
    rows = []
    for moment, values in moments.items():
        long = values.rename("value").reset_index()
        [row] = statistics.paired(long, "value", of="attention", against=SELF, pairs=("model", "sample")).to_dict(
            "records"
        )
        rows.append({"moment": moment} | row | {"d": _effect(long)})
    return pd.DataFrame(rows).drop(columns="of")


def beside_blocks(table: pd.DataFrame) -> pd.DataFrame:
    """Of the self-attention only what stands where a block of the same model stands: see ``layer``."""
    co = table.kind.map(GROUPS) == CO
    sides = table.kind.map({"text": "text", "text asks": "text", "vision": "vision", "vision asks": "vision"})
    places = pd.MultiIndex.from_arrays([table.model, sides, table.layer])
    return table[co | places.isin(places[co].unique())]


def _effect(long: pd.DataFrame) -> float:
    """Mean over the standard deviation of the models' mean differences."""
    wide = long.groupby(["model", "attention"]).value.mean().unstack()
    steps = wide[CO] - wide[SELF]
    return float(steps.mean() / steps.std(ddof=1))
