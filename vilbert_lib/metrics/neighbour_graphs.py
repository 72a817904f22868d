"""Exact third moment of the overlap of two neighbour graphs, over permutations of the samples of one.

A neighbour graph has an edge from every sample to each of its k nearest. The overlap is <A, P'BP> with the 0/1
matrices of two graphs. Its third moment is summed over the ways in which three edges can share samples, of which
there are 24; each needs how often the way is found in either graph.
"""

from collections.abc import Callable, Iterator
from functools import cache
from itertools import permutations
from math import factorial, perm
from types import SimpleNamespace

import torch
from torch import Tensor

LEAST = 6  # samples; with fewer there are no three edges apart

#: The ways in which three edges can share samples, by where each edge begins and ends, samples numbered as they
#: come. Each with what it counts where different numbers may be one sample: a function of n, k and the sums of
#: :func:`_sums`.
_WAYS: dict[tuple[int, ...], Callable[..., Tensor]] = {
    (0, 1, 0, 1, 0, 1): lambda n, k, s: n * k * s.one,
    (0, 1, 0, 1, 1, 0): lambda n, k, s: s.mutual,
    (0, 1, 0, 1, 0, 2): lambda n, k, s: n * k**2 * s.one,
    (0, 1, 0, 1, 1, 2): lambda n, k, s: n * k**2 * s.one,
    (0, 1, 0, 1, 2, 0): lambda n, k, s: n * k**2 * s.one,
    (0, 1, 0, 1, 2, 1): lambda n, k, s: s.in_squared,
    (0, 1, 0, 2, 1, 0): lambda n, k, s: k * s.mutual,
    (0, 1, 0, 2, 1, 2): lambda n, k, s: s.transitive,
    (0, 1, 1, 0, 2, 0): lambda n, k, s: s.mutual_in,
    (0, 1, 1, 2, 2, 0): lambda n, k, s: s.cyclic,
    (0, 1, 0, 1, 2, 3): lambda n, k, s: (n * k) ** 2 * s.one,
    (0, 1, 0, 2, 0, 3): lambda n, k, s: n * k**3 * s.one,
    (0, 1, 0, 2, 1, 3): lambda n, k, s: n * k**3 * s.one,
    (0, 1, 0, 2, 3, 0): lambda n, k, s: n * k**3 * s.one,
    (0, 1, 0, 2, 3, 1): lambda n, k, s: k * s.in_squared,
    (0, 1, 1, 0, 2, 3): lambda n, k, s: n * k * s.mutual,
    (0, 1, 1, 2, 2, 3): lambda n, k, s: n * k**3 * s.one,
    (0, 1, 1, 2, 3, 1): lambda n, k, s: k * s.in_squared,
    (0, 1, 1, 2, 3, 2): lambda n, k, s: s.in_in,
    (0, 1, 2, 1, 3, 1): lambda n, k, s: s.in_cubed,
    (0, 1, 0, 2, 3, 4): lambda n, k, s: (n * k) * n * k**2 * s.one,
    (0, 1, 1, 2, 3, 4): lambda n, k, s: (n * k) * n * k**2 * s.one,
    (0, 1, 2, 1, 3, 4): lambda n, k, s: n * k * s.in_squared,
    (0, 1, 2, 3, 4, 5): lambda n, k, s: (n * k) ** 3 * s.one,
}


def third_moment(left: Tensor, right: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Mean of the cubed overlap of graph x of ``left`` and graph y of ``right`` over all permutations, (P,).

    ``left`` and ``right`` (L, n, k) hold the neighbours of every sample, of at least six.
    """
    n = left.shape[1]
    a = torch.stack([_counts(graph) for graph in left])
    b = a if right is left else torch.stack([_counts(graph) for graph in right])
    weights = [_arrangements()[way] / perm(n, 1 + max(way)) for way in _WAYS]
    return (a[x] * b[y] * torch.tensor(weights, dtype=torch.float64, device=a.device)).sum(1)


def _counts(graph: Tensor) -> Tensor:
    """How often each way is found in the neighbours ``graph`` (n, k), no two numbers one sample."""
    n, k = graph.shape
    sums = _sums(graph)
    return _without_coincidences().to(graph.device) @ torch.stack([count(n, k, sums) for count in _WAYS.values()])


def _sums(graph: Tensor) -> SimpleNamespace:
    n = len(graph)
    itself = torch.arange(n, device=graph.device)[:, None]
    edges = itself * n + graph
    back = torch.isin(graph * n + itself, edges)
    indegree = graph.flatten().bincount(minlength=n).double()
    second = graph[graph].flatten(1)  # (n, k * k)
    return SimpleNamespace(
        one=indegree.new_ones(()),
        mutual=back.sum().double(),
        mutual_in=(back.sum(1) * indegree).sum(),
        in_squared=indegree.square().sum(),
        in_cubed=indegree.pow(3).sum(),
        in_in=(indegree[:, None] * indegree[graph]).sum(),
        transitive=torch.isin(itself * n + second, edges).sum().double(),
        cyclic=torch.isin(second * n + itself, edges).sum().double(),
    )


@cache
def _ways_of_sharing() -> list[tuple[tuple[int, ...], list[list[int]]]]:
    """All ways in which the six ends of three edges can be shared, none a loop: name and blocks of ends."""
    return [
        (_name(blocks), blocks)
        for blocks in _partitions(list(range(6)))
        if not any({2 * edge, 2 * edge + 1} <= set(block) for edge in range(3) for block in blocks)
    ]


def _partitions(items: list) -> Iterator[list[list]]:
    if not items:
        yield []
        return
    first, *rest = items
    for blocks in _partitions(rest):
        yield from ([*blocks[:i], [first, *blocks[i]], *blocks[i + 1 :]] for i in range(len(blocks)))
        yield [[first], *blocks]


def _name(blocks: list[list[int]]) -> tuple[int, ...]:
    """The same for ways that differ in the order of the edges only."""
    sample = {end: i for i, block in enumerate(blocks) for end in block}
    names = []
    for order in permutations(range(3)):
        numbers: dict[int, int] = {}
        ends = (sample[2 * edge + end] for edge in order for end in (0, 1))
        names.append(tuple(numbers.setdefault(end, len(numbers)) for end in ends))
    return min(names)


@cache
def _arrangements() -> dict[tuple[int, ...], int]:
    """How many of the ways with numbered edges each name stands for."""
    names = [name for name, _ in _ways_of_sharing()]
    return {name: names.count(name) for name in _WAYS}


@cache
def _without_coincidences() -> Tensor:
    """What turns counts with coincidences into counts without: Moebius inversion over merged samples, (24, 24)."""
    names, table = list(_WAYS), torch.zeros(len(_WAYS), len(_WAYS), dtype=torch.float64)
    blocks_of = dict(reversed(_ways_of_sharing()))
    for row, name in enumerate(names):
        for merged in _partitions(blocks_of[name]):
            joined = [[end for block in group for end in block] for group in merged]
            if any({2 * edge, 2 * edge + 1} <= set(block) for edge in range(3) for block in joined):
                continue  # an edge from a sample to itself: there is none
            sign = 1
            for group in merged:
                sign *= (-1) ** (len(group) - 1) * factorial(len(group) - 1)
            table[row, names.index(_name(joined))] += sign
    return table
