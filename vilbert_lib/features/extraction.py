"""Features of the layers of any PyTorch model, collected in one pass over the samples."""

import difflib
import fnmatch
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

# Shape legend: B samples of a batch, n all samples, T tokens, D width of a layer.


@dataclass
class Extracted:
    """Features of the layers of a model.

    Attributes
    ----------
    layers : dict of str to Tensor
        By layer (n, D), or (n, T, D) where tokens were not pooled; padded with zeros.
    ids : list or None
        Ids of the samples, where the batches have some.
    masks : dict of str to Tensor
        Of layers that were not pooled: which tokens are content, (n, T) bool.
    """

    layers: dict[str, Tensor]
    ids: list | None = None
    masks: dict[str, Tensor] = field(default_factory=dict)


#: Named states of one batch, each with the mask of its content or None.
States = Mapping[str, tuple[Tensor, Tensor | None]]


@torch.inference_mode()
def extract(
    model: nn.Module,
    loader: Iterable,
    modules: str | Sequence[str] | Mapping[str, str] | Callable[[object, object], States],
    *,
    pool: str | Callable[[Tensor, Tensor | None], Tensor] = "mean",
    forward: Callable[[nn.Module, object], object] | None = None,
    mask: str | Mapping[str, str | None] | None = "attention_mask",
    prefix_tokens: int = 0,
    batch_dim: int | None = None,
    channels_last: bool = False,
    ids: str = "id",
    device: str | torch.device | None = None,
    dtype: torch.dtype = torch.float32,
) -> Extracted:
    """Collect what modules of ``model`` return for every sample of ``loader``, in one pass.

    Parameters
    ----------
    model : torch.nn.Module
        Of timm, of transformers, or any other. It is run in evaluation mode and left in the mode in which it came.
    loader : iterable
        Batches. A dict gives the arguments that ``model.forward`` knows; of a tuple or list the first item is the
        input; a tensor is the input. Tensors are moved to the model's device.
    modules : str, list of str, mapping, or callable
        Names of modules as in ``model.named_modules()``, or patterns such as ``"blocks.*"``, in which ``*`` stands
        for one part of a name. A mapping names layers: ``{"t0": "bert.encoder.layer.0"}``. A callable of the
        model's output and the batch gives the states itself, by name, each with a mask (B, T) or None.
    pool : {"cls", "mean", "tokens"} or callable
        ``cls`` takes the first token that is content, ``mean`` averages content without the prefix, ``tokens``
        keeps all tokens, ``callable(states, mask)`` makes (B, D) of (B, T, D). Outputs (B, D) stay as they are.
    forward : callable, optional
        ``forward(model, batch)`` runs the model, where the rule above does not fit.
    mask : str or mapping, optional
        Key of the batch that holds the attention mask (B, T), 1 or True on content; a mapping gives the key, or
        None, by pattern of layer names. A mask whose T is not that of a layer is an error.
    prefix_tokens : int
        How many tokens at the beginning, such as class and register tokens, ``mean`` leaves out.
    batch_dim : {0, 1}, optional
        Where the samples of 3-dimensional outputs are: 1 of sequence-first modules. By default it is seen from the
        batch size.
    channels_last : bool
        Whether outputs of four dimensions are (B, H, W, D) instead of (B, D, H, W).
    ids : str
        Key of the batch that holds the samples' ids.
    device : optional
        Where features are collected, by default where they are made.
    dtype : torch.dtype
        Type in which they are kept, such as ``torch.float16``.

    Returns
    -------
    Extracted
        ``alignment_grid(found.layers, ids=found.ids, masks=found.masks)`` measures it.

    Raises
    ------
    ValueError
        For a name or pattern without a module, a module that was not run or returns no states, a mask that does
        not fit, features that ``dtype`` cannot hold, an empty loader, and where the samples' dimension is unclear.
    """
    if isinstance(pool, str) and pool not in ("cls", "mean", "tokens"):
        raise ValueError(f"unknown pool {pool!r}; known: cls, mean, tokens, or a function")
    named = {} if callable(modules) else _named_modules(model, modules)
    layout = _Layout(batch_dim, channels_last)
    parts: dict[str, list[Tensor]] = {}
    masks: dict[str, list[Tensor]] = {}
    found_ids: list = []
    training, own = model.training, _device_of(model)
    model.eval()
    try:
        with _Hooks(named) as hooks:
            for batch in loader:
                batch = _moved(batch, own)
                hooks.outputs.clear()
                output = (forward or _forward)(model, batch)
                size = _batch_size(batch)
                if callable(modules):
                    states = modules(output, batch)
                else:
                    states = {
                        name: (layout.tokens_last(name, hooks.of(name), size), _mask_of(name, mask, batch))
                        for name in named
                    }
                for name, (state, content) in states.items():
                    feature, content = _pooled(name, state, content, pool, prefix_tokens)
                    parts.setdefault(name, []).append(_stored(name, feature, device, dtype))
                    if feature.ndim == 3:
                        masks.setdefault(name, []).append(content.to(parts[name][-1].device))
                if isinstance(batch, Mapping) and ids in batch:
                    found_ids += batch[ids].tolist() if isinstance(batch[ids], Tensor) else list(batch[ids])
    finally:
        model.train(training)
    if not parts:
        raise ValueError("the loader gave no batch")
    return Extracted(
        {name: torch.cat(_padded(of_layer)) for name, of_layer in parts.items()},
        found_ids or None,
        {name: torch.cat(_padded(of_layer)) for name, of_layer in masks.items()},
    )


def _named_modules(model: nn.Module, asked: str | Sequence[str] | Mapping[str, str]) -> dict[str, nn.Module]:
    known = dict(model.named_modules())
    patterns = (
        asked if isinstance(asked, Mapping) else {p: p for p in ([asked] if isinstance(asked, str) else asked)}
    )
    found: dict[str, nn.Module] = {}
    for name, pattern in patterns.items():
        depth = pattern.count(".")
        matched = [m for m in known if m.count(".") == depth and fnmatch.fnmatchcase(m, pattern)]
        if not matched:
            near = difflib.get_close_matches(pattern, known, n=3, cutoff=0.4)
            raise ValueError(f"no module is called {pattern!r}; near it: {', '.join(near) or 'none'}")
        if isinstance(asked, Mapping) and len(matched) > 1:
            raise ValueError(f"layer {name!r}: the pattern {pattern!r} stands for {len(matched)} modules")
        found |= {name if isinstance(asked, Mapping) else m: known[m] for m in matched}
    return found


class _Hooks:
    """Keeps what each module returned last."""

    def __init__(self, modules: Mapping[str, nn.Module]):
        self.modules, self.outputs = modules, {}

    def __enter__(self):
        def keep(name: str):
            return lambda module, args, output: self.outputs.__setitem__(name, output)

        self.handles = [module.register_forward_hook(keep(name)) for name, module in self.modules.items()]
        return self

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()

    def of(self, name: str) -> Tensor:
        """States in what the module returned: a tensor, the first of a tuple, or a model output's."""
        if name not in self.outputs:
            raise ValueError(f"module {name!r} is not run by the model's forward pass")
        output = self.outputs[name]
        if hasattr(output, "last_hidden_state"):
            output = output.last_hidden_state
        while isinstance(output, (tuple, list, Mapping)) and len(output):
            output = next(iter(output.values())) if isinstance(output, Mapping) else output[0]
        if not isinstance(output, Tensor):
            raise ValueError(f"module {name!r} returns a {type(output).__name__}: a tensor is needed")
        return output


@dataclass
class _Layout:
    """Where the samples are in outputs of three dimensions, as seen in batches that tell."""

    batch_dim: int | None
    channels_last: bool

    def tokens_last(self, name: str, output: Tensor, size: int) -> Tensor:
        """The output as (B, D) or (B, T, D)."""
        if output.ndim == 4:
            return output.flatten(1, 2) if self.channels_last else output.flatten(2).transpose(1, 2)
        if output.ndim == 3:
            return output if self._dim(name, output, size) == 0 else output.transpose(0, 1)
        if output.ndim != 2 or (self.batch_dim is None and len(output) != size):
            raise ValueError(f"module {name!r} returns shape {tuple(output.shape)} for {size} samples")
        return output

    def _dim(self, name: str, output: Tensor, size: int) -> int:
        if self.batch_dim is not None:
            return self.batch_dim
        fits = [dim for dim in (0, 1) if output.shape[dim] == size]
        if len(fits) == 1:
            self.batch_dim = fits[0]
        elif fits:
            raise ValueError(
                f"module {name!r} returns shape {tuple(output.shape)} for {size} samples: give batch_dim=0, or 1"
                " if the sequence comes first"
            )
        else:
            raise ValueError(f"module {name!r} returns shape {tuple(output.shape)} for {size} samples")
        return self.batch_dim


def _device_of(model: nn.Module) -> torch.device:
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def _moved(batch, device: torch.device):
    if isinstance(batch, Tensor):
        return batch.to(device)
    if isinstance(batch, Mapping):
        return {
            name: _moved(value, device) if isinstance(value, Tensor) else value for name, value in batch.items()
        }
    if isinstance(batch, (tuple, list)) and batch:
        return [_moved(batch[0], device), *batch[1:]]
    raise ValueError(
        f"a batch is a {type(batch).__name__}: a tensor, a dict or a tuple is needed, or give forward"
    )


def _forward(model: nn.Module, batch):
    if not isinstance(batch, Mapping):
        return model(batch[0] if isinstance(batch, list) else batch)
    known = inspect.signature(model.forward).parameters
    arguments = {name: value for name, value in batch.items() if name in known}
    if not arguments:
        raise ValueError(f"the model takes {', '.join(known)}; the batch has {', '.join(batch)}: give forward")
    return model(**arguments)


def _batch_size(batch) -> int:
    if isinstance(batch, Mapping):
        batch = next(value for value in batch.values() if isinstance(value, Tensor))
    return len(batch[0] if isinstance(batch, list) else batch)


def _mask_of(name: str, mask: str | Mapping[str, str | None] | None, batch) -> Tensor | None:
    if isinstance(mask, Mapping):
        mask = next((key for pattern, key in mask.items() if fnmatch.fnmatchcase(name, pattern)), None)
    return batch[mask].bool() if isinstance(batch, Mapping) and mask in batch else None


def _pooled(
    name: str, states: Tensor, content: Tensor | None, how: str | Callable, prefix: int
) -> tuple[Tensor, Tensor | None]:
    if states.ndim == 2:
        return states, None
    if content is not None and content.shape != states.shape[:2]:
        raise ValueError(
            f"layer {name!r} has states of {tuple(states.shape[:2])} samples and tokens, its mask is"
            f" {tuple(content.shape)}: say by mask={{'pattern': key or None}} which layers it belongs to"
        )
    if callable(how):
        return how(states, content), None
    whole = content if content is not None else states.new_ones(states.shape[:2], dtype=torch.bool)
    if how == "tokens":
        return states, whole
    place = whole.cumsum(1) * whole  # 1 for the first token that is content, wherever the padding is
    if how == "cls":
        return states[torch.arange(len(states), device=states.device), (place == 1).int().argmax(1)], None
    weights = (place > prefix).to(states.dtype)[..., None]
    return (states * weights).sum(1) / weights.sum(1).clamp_min(1), None


def _stored(name: str, feature: Tensor, device, dtype: torch.dtype) -> Tensor:
    stored = feature.to(device=device, dtype=dtype)
    if bool(torch.isfinite(feature).all() & ~torch.isfinite(stored).all()):
        largest = feature.abs().max().item()
        raise ValueError(f"layer {name!r} holds {largest:.3g}, which {dtype} cannot: keep it as float32")
    return stored


def _padded(parts: list[Tensor]) -> list[Tensor]:
    """Batches with tokens, filled with zeros up to the longest."""
    if parts[0].ndim == 1 or (parts[0].ndim == 2 and parts[0].dtype != torch.bool):
        return parts
    longest = max(part.shape[1] for part in parts)
    padding = [0, 0] * (parts[0].ndim - 2)
    return [nn.functional.pad(part, (*padding, 0, longest - part.shape[1])) for part in parts]
