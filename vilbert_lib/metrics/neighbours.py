"""Measures of shared nearest neighbours: which they are, and in which order."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import hypergeom
from torch import Tensor

from vilbert_lib.metrics import neighbour_graphs
from vilbert_lib.metrics.layers import Layers, require_bytes, require_memory, unit
from vilbert_lib.metrics.parallel import each

TIE = 12  # decimals to which cosines are compared: what differs by less is a tie
BLOCK = 2**25  # cosines that are held at once, for so many samples against all
BLOCK_ON_CPU = 2**22  # larger ones are new memory from the system every time, which takes as long as the products


@dataclass(frozen=True)
class Neighbours:
    """The k nearest other samples of every sample, nearest first, and their cosines: (L, n, k) each.

    ``ties`` holds for every layer which rows have ties among their nearest, and their rounded
    cosines with all samples. ``ambiguous`` (L,) says in which layers the k-th and the next neighbour
    of some sample are tied: there the order of the samples decides who is a neighbour.
    """

    indices: Tensor
    cosines: Tensor
    ties: tuple[tuple[Tensor, Tensor], ...]
    ambiguous: Tensor

    @property
    def n(self) -> int:
        """Number of samples."""
        return self.indices.shape[1]

    @property
    def k(self) -> int:
        """Number of neighbours."""
        return self.indices.shape[2]

    def permuted(self, order: Tensor) -> "Neighbours":
        """The lists of the same samples in another ``order`` (n,)."""
        place = order.argsort()
        indices = place[self.indices[:, order]]
        ties = tuple((place[rows], rounded[:, order]) for rows, rounded in self.ties)
        for layer, (rows, rounded) in enumerate(ties):
            if len(rows):  # another sample comes first now
                indices[layer, rows] = _in_order(rounded)[:, : self.k]
        return Neighbours(indices, self.cosines[:, order], ties, self.ambiguous)

    def ranks(self, layer: int, of: Tensor, among: Tensor) -> Tensor:
        """Rank, from 1, of the samples ``of`` among the neighbours of the samples ``among``, 0 where it is none.

        Both broadcast to (pairs, n, k). Ranks are read from a table (n, n), or where that has more entries
        than there are comparisons with all k neighbours, found by those.
        """
        of, among = torch.broadcast_tensors(of, among)
        own = torch.arange(1, self.k + 1, dtype=torch.int32, device=of.device)
        if self.n**2 <= of.numel() * self.k:
            require_memory("the neighbours' ranks", self.n, of.device, per_entry=4)
            table = torch.zeros(self.n, self.n, dtype=torch.int32, device=of.device)
            table.scatter_(1, self.indices[layer], own.expand(self.n, -1))
            return table.flatten()[among * self.n + of]
        rows = max(1, BLOCK // (of.shape[0] * self.k**2))
        parts = zip(of.split(rows, 1), among.split(rows, 1), strict=True)
        found = [((self.indices[layer][a] == o[..., None]) * own).sum(-1, dtype=torch.int32) for o, a in parts]
        return torch.cat(found, 1)


def nearest_neighbours(layers: Layers) -> Neighbours:
    """Neighbours by cosine similarity of the features as they come: neighbours are defined without centring.

    A row of zeros has no direction and cosine 0 with all. Ties go to the sample that comes first:
    two layers with many ties share neighbours by that alone. Permutations show how many; the closed
    forms do not, and are NaN for such pairs (:func:`_where_exact`).
    """
    k, n = layers.settings.k, layers.n
    if k >= n:
        raise ValueError(f"k={k} must be less than n={n}")
    if n**2 > BLOCK:
        # Of layers side by side a block, what is chosen from it, and the features; of all layers their neighbours;
        # and neighbours of neighbours, which the exact skewness sorts.
        of_layer = 3 * _block(layers) + 3 * n * max(layers.width(i) for i in layers)
        needed = 8 * (of_layer * layers.at_once + 2 * len(layers) * n * k + 12 * n * k**2)
        require_bytes(f"the k={k} neighbours of n={n} samples in {len(layers)} layers", needed, layers.device)
    else:
        require_memory(f"the neighbours in {len(layers)} layers", n, layers.device, per_entry=10 * layers.at_once)
    found = each(lambda i: _nearest(layers, i), layers, layers.device)
    indices, cosines, ties, ambiguous = zip(*found, strict=True)
    return Neighbours(torch.stack(indices), torch.stack(cosines), ties, torch.stack(ambiguous))


def _nearest(layers: Layers, i: int) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor], Tensor]:
    n, k = layers.n, layers.settings.k
    if n**2 <= BLOCK:
        indices, values, tied, rounded, ambiguous = _nearest_of_rows(layers.cosines(i), 0, k)
        return indices, values, (tied, rounded), ambiguous
    directions = unit(layers.raw(i))
    # One place for all blocks and one for all results: small copies between large blocks would keep their memory.
    room = directions.new_empty(max(1, _block(layers) // n), n)
    indices = torch.empty(n, k, dtype=torch.int64, device=layers.device)
    values, parts = directions.new_empty(n, k), []
    for begin in range(0, n, len(room)):
        rows = slice(begin, begin + len(room))
        cosines = torch.mm(directions[rows], directions.T, out=room[: min(len(room), n - begin)])
        indices[rows], values[rows], *others = _nearest_of_rows(cosines, begin, k)
        parts.append(others)
    tied, rounded, ambiguous = zip(*parts, strict=True)
    return indices, values, (torch.cat(tied), torch.cat(rounded)), torch.stack(ambiguous).any()


def _block(layers: Layers) -> int:
    return min(BLOCK, BLOCK_ON_CPU) if layers.device.type == "cpu" else BLOCK


def _nearest_of_rows(cosines: Tensor, start: int, k: int) -> tuple[Tensor, ...]:
    """Neighbours of the rows from ``start`` on and their cosines, the tied rows with theirs, any tie at k."""
    n = cosines.shape[1]
    cosines.diagonal(start).fill_(-torch.inf)
    values, indices = cosines.topk(k + 1, dim=1)  # one more shows a tie at the edge
    rounded = values.round(decimals=TIE)
    equal = rounded[:, 1:] == rounded[:, :-1]
    tied = torch.nonzero(equal.any(1))[:, 0]
    require_memory("tied neighbours", n, cosines.device, per_entry=2 * 8 * len(tied) / n)
    rounded = cosines[tied].round(decimals=TIE)
    if len(tied):
        order = _in_order(rounded)[:, : k + 1]
        indices[tied], values[tied] = order, cosines[tied].gather(1, order)
    values[values.abs() < 0.1**TIE] = 0  # features that share nothing must not be alike by rounding
    # Copies, as the rest of a view would stay in memory.
    return indices[:, :k].clone(), values[:, :k].clone(), tied + start, rounded, equal[:, -1].any()


def _in_order(cosines: Tensor) -> Tensor:
    return cosines.sort(dim=1, descending=True, stable=True).indices


def _itself(neighbours: Neighbours) -> Tensor:
    """Every sample, (n, 1)."""
    return torch.arange(neighbours.n, device=neighbours.indices.device)[:, None]


def _shared(left: Neighbours, right: Neighbours, x: Tensor, y: Tensor) -> Iterator[tuple[Tensor, Tensor, int]]:
    """Pairs that share their right layer: which they are, ranks there of the left neighbours, and that layer.

    The ranks are (pairs, n, k), 0 where a left neighbour is none on the right.
    """
    for layer in y.unique().tolist():
        pairs = torch.nonzero(y == layer)[:, 0]
        yield pairs, right.ranks(layer, left.indices[x[pairs]], _itself(right)), layer


def _of_shared(score: Callable[[Tensor], Tensor]) -> Callable[[Neighbours, Neighbours, Tensor, Tensor], Tensor]:
    """A measure from a score (pairs, n) of the ranks (pairs, n, k) of shared neighbours, averaged over n."""

    def compare(left: Neighbours, right: Neighbours, x: Tensor, y: Tensor) -> Tensor:
        values = torch.empty(len(x), dtype=torch.float64, device=left.indices.device)
        for pairs, ranks, _ in _shared(left, right, x, y):
            values[pairs] = score(ranks).mean(1)
        return values

    compare.__doc__ = score.__doc__
    return compare


@_of_shared
def mknn(ranks: Tensor) -> Tensor:
    """Mutual k nearest neighbours: mean share of common ones (Huh et al. 2024, appendix A), in [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from vilbert_lib.metrics import mknn
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 8))
    >>> Y = X[:, :4] + rng.standard_normal((100, 4))  # the same 100 samples
    >>> round(mknn(X, Y, k=10), 3)
    0.192
    """
    return (ranks > 0).sum(2).double() / ranks.shape[2]


@_of_shared
def jaccard(ranks: Tensor) -> Tensor:
    """Mean Jaccard index o / (2k - o) of the neighbour sets, in [0, 1] (Klabunde et al. 2025).

    Examples
    --------
    >>> import numpy as np
    >>> from vilbert_lib.metrics import jaccard
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 8))
    >>> Y = X[:, :4] + rng.standard_normal((100, 4))  # the same 100 samples
    >>> round(jaccard(X, Y, k=10), 3)
    0.112
    """
    common = (ranks > 0).sum(2).double()
    return common / (2 * ranks.shape[2] - common)


@_of_shared
def rank(ranks: Tensor) -> Tensor:
    """Rank similarity: how alike the ranks of the common neighbours are, in [0, 1] (Klabunde et al. 2025).

    Over the common neighbours of ranks r and r', sum of ``2 / ((1 + |r - r'|) (r + r'))``, divided by
    the harmonic number of their count; 0 for a sample without any.

    Examples
    --------
    >>> import numpy as np
    >>> from vilbert_lib.metrics import rank
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 8))
    >>> Y = X[:, :4] + rng.standard_normal((100, 4))  # the same 100 samples
    >>> round(rank(X, Y, k=10), 3)
    0.114
    """
    k = ranks.shape[2]
    own = torch.arange(1, k + 1, device=ranks.device)
    weights = torch.where(ranks > 0, 2 / ((1 + (own - ranks).abs()) * (own + ranks)).double(), 0)
    harmonic = (1 / own.double()).cumsum(0)
    common = (ranks > 0).sum(2)
    return torch.where(common > 0, weights.sum(2) / harmonic[(common - 1).clamp_min(0)], 0)


def cycle_knn(left: Neighbours, right: Neighbours, x: Tensor, y: Tensor) -> Tensor:
    """Share of samples i that are a left neighbour of one of their right neighbours, in [0, 1].

    Huh et al. 2024, appendix. Not symmetric; identical layers give less than 1 where a sample is
    among the neighbours of none of its own.

    Examples
    --------
    >>> import numpy as np
    >>> from vilbert_lib.metrics import cycle_knn
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 8))
    >>> Y = X[:, :4] + rng.standard_normal((100, 4))  # the same 100 samples
    >>> round(cycle_knn(X, Y, k=3), 3), round(cycle_knn(Y, X, k=3), 3)
    (0.2, 0.2)
    """
    values = torch.empty(len(x), dtype=torch.float64, device=left.indices.device)
    for layer in x.unique().tolist():
        pairs = torch.nonzero(x == layer)[:, 0]
        values[pairs] = (left.ranks(layer, _itself(left), right.indices[y[pairs]]) > 0).any(2).double().mean(1)
    return values


def _of_sequences(longest: bool) -> Callable[[Neighbours, Neighbours, Tensor, Tensor], Tensor]:
    def compare(left: Neighbours, right: Neighbours, x: Tensor, y: Tensor) -> Tensor:
        from rapidfuzz import process  # here, as it is needed for these two measures alone
        from rapidfuzz.distance import LCSseq, Levenshtein

        distance = LCSseq.similarity if longest else Levenshtein.distance
        of_left, of_right = _as_text(left, x), _as_text(right, y)
        shares = [
            process.cpdist(of_left[a], of_right[b], scorer=distance, dtype=np.int32).mean() / left.k
            for a, b in zip(x.tolist(), y.tolist(), strict=True)
        ]
        values = torch.tensor(shares, dtype=torch.float64, device=left.indices.device)
        return values if longest else 1 - values

    return compare


def _as_text(neighbours: Neighbours, layers: Tensor) -> dict[int, list[str]]:
    """Neighbour lists as strings with one character a neighbour: what string libraries take."""
    first = 0x10000  # beyond the surrogates, which no string may hold
    codes = (neighbours.indices.cpu().numpy() + first).astype("<u4")
    return {i: codes[i].view(f"<U{neighbours.k}")[:, 0].tolist() for i in layers.unique().tolist()}


lcs_knn = _of_sequences(longest=True)
lcs_knn.__doc__ = """Longest common subsequence of the ordered neighbour lists, divided by k, in [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from vilbert_lib.metrics import lcs_knn
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 8))
    >>> Y = X[:, :4] + rng.standard_normal((100, 4))  # the same 100 samples
    >>> round(lcs_knn(X, Y, k=10), 3)
    0.141
    """

edit_knn = _of_sequences(longest=False)
edit_knn.__doc__ = """1 - Levenshtein distance of the ordered neighbour lists divided by k, in [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from vilbert_lib.metrics import edit_knn
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 8))
    >>> Y = X[:, :4] + rng.standard_normal((100, 4))  # the same 100 samples
    >>> round(edit_knn(X, Y, k=10), 3)
    0.027
    """


def cknna(left: Neighbours, right: Neighbours, x: Tensor, y: Tensor) -> Tensor:
    """CKNNA: unbiased HSIC of the cosine Gram matrices where both layers see a neighbour.

    Huh et al. 2024, appendix A. Divided by the root of the product of each side's own, which is
    restricted to that side's neighbours; 0 where one of those is not positive. With k = n-1 it is the
    unbiased CKA of the features divided by their norms. The masked matrices are not symmetric, and
    so the published estimator is not: exchanging the sides changes the fourth or fifth digit. Its
    three terms see different neighbours, and so nothing bounds it: with n of a few k it can leave [-1, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from vilbert_lib.metrics import cknna
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 8))
    >>> Y = X[:, :4] + rng.standard_normal((100, 4))  # the same 100 samples
    >>> round(cknna(X, Y, k=10), 3)
    0.171
    """
    mutual_left, mutual_right = _mutual(left), _mutual(right)
    values = torch.empty(len(x), dtype=torch.float64, device=left.indices.device)
    own_left, own_right = _own(left, mutual_left), _own(right, mutual_right)
    for pairs, ranks, layer in _shared(left, right, x, y):
        common, place = ranks > 0, (ranks - 1).clamp_min(0).long()
        indices = left.indices[x[pairs]]
        k_values = left.cosines[x[pairs]] * common
        l_values = right.cosines[layer].expand(len(pairs), -1, -1).gather(2, place) * common
        back = mutual_left[x[pairs]] & mutual_right[layer].expand(len(pairs), -1, -1).gather(2, place)
        values[pairs] = _hsic(indices, k_values, l_values, back)
    scale = own_left[x] * own_right[y]
    return torch.where((own_left[x] > 0) & (own_right[y] > 0), values / scale.clamp_min(0).sqrt(), 0.0)


def _mutual(neighbours: Neighbours) -> Tensor:
    """Whether a sample is in turn among the neighbours of its neighbour, (L, n, k)."""
    layers = enumerate(neighbours.indices)
    return torch.cat([neighbours.ranks(i, _itself(neighbours), indices[None]) > 0 for i, indices in layers])


def _own(neighbours: Neighbours, mutual: Tensor) -> Tensor:
    return _hsic(neighbours.indices, neighbours.cosines, neighbours.cosines, mutual)


def _hsic(indices: Tensor, k_values: Tensor, l_values: Tensor, back: Tensor) -> Tensor:
    """n(n-3) times the unbiased HSIC (Song et al. 2012, eq. 5) of masked matrices K and L, (pairs,).

    Both have their entries (pairs, n, k) at the columns ``indices``, and 0 elsewhere; ``back`` says
    whether the mirrored entry stands as well.
    """
    n = indices.shape[1]
    mirrored = (k_values * l_values * back).sum((1, 2))
    columns = torch.zeros(indices.shape[:2], dtype=k_values.dtype, device=indices.device)
    columns.scatter_add_(1, indices.flatten(1), k_values.flatten(1))
    chained = (columns * l_values.sum(2)).sum(1)
    whole = k_values.sum((1, 2)) * l_values.sum((1, 2))
    return mirrored + whole / ((n - 1) * (n - 2)) - 2 * chained / (n - 2)


def mknn_moments(left: Neighbours, right: Neighbours, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Exact mean k/(n-1) and standard deviation of mutual kNN over permutations; NaN as in :func:`_where_exact`.

    The overlap is the product <A, B> of two 0/1 matrices; its second moment is summed over the
    ways in which two of their entries can share rows and columns (Mantel 1967).
    """
    n, k = left.n, left.k
    a = _patterns(left)
    b = a if right is left else _patterns(right)
    two, three = float(n * (n - 1)), float(n * (n - 1) * (n - 2))  # as integers they would overflow
    ways = torch.tensor([two] * 2 + [three] * 3, dtype=torch.float64, device=a.device)
    apart = float(n * (n - 1) * (n - 2) * (n - 3))
    # Pairs of entries: the same, mirrored, in one row, in one column, column of one row of the other (twice).
    count = torch.tensor([1, 1, 1, 1, 2], dtype=torch.float64, device=a.device)
    second = (a[x] * b[y] * count / ways).sum(1)
    rest = [float((n * k) ** 2) - (side * count).sum(1) for side in (a[x], b[y])]
    second = second + rest[0] * rest[1] / apart
    mean = n * k * k / (n - 1)
    deviation = (second - mean**2).clamp_min(0).sqrt()
    return _where_exact(left, right, x, y, torch.full_like(deviation, mean / (n * k)), deviation / (n * k))


def mknn_skewness(left: Neighbours, right: Neighbours, x: Tensor, y: Tensor) -> Tensor:
    """Exact skewness of mutual kNN over permutations; NaN where the moments are, and below six samples."""
    n, k = left.n, left.k
    mean, deviation = (n * k * moment for moment in mknn_moments(left, right, x, y))  # of the whole overlap
    if n < neighbour_graphs.LEAST:
        return torch.full_like(mean, torch.nan)
    third = neighbour_graphs.third_moment(left.indices, right.indices, x, y)
    return torch.where(deviation > 0, (third - 3 * mean * deviation**2 - mean**3) / deviation**3, torch.nan)


def _where_exact(
    left: Neighbours, right: Neighbours, x: Tensor, y: Tensor, mean: Tensor, deviation: Tensor
) -> tuple[Tensor, Tensor]:
    """The moments; NaN for pairs of which both layers are ``ambiguous``.

    The closed forms permute lists of neighbours. Where at most one layer is ambiguous, permuting the
    samples of the other does just that. Where both are, permuted samples have other lists.
    """
    exact = ~(left.ambiguous[x] & right.ambiguous[y])
    return torch.where(exact, mean, torch.nan), torch.where(exact, deviation, torch.nan)


def _patterns(neighbours: Neighbours) -> Tensor:
    n, k = neighbours.n, neighbours.k
    rows, itself = [], torch.arange(n, device=neighbours.indices.device)[:, None]
    for indices in neighbours.indices:
        mutual = float(torch.isin(indices * n + itself, itself * n + indices).sum())
        indegree = indices.flatten().bincount(minlength=n).double()
        in_row = n * k * (k - 1)
        in_column = float((indegree**2).sum()) - n * k
        chained = float(indegree.sum()) * k - mutual
        rows.append([n * k, mutual, in_row, in_column, chained])
    return torch.tensor(rows, dtype=torch.float64, device=neighbours.indices.device)


def jaccard_moments(left: Neighbours, right: Neighbours, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Exact mean: each sample's overlap is hypergeometric.

    NaN as in :func:`_where_exact`. The deviation has no closed form: NaN.
    """
    n, k = left.n, left.k
    common = np.arange(k + 1)
    mean = float((hypergeom(n - 1, k, k).pmf(common) * common / (2 * k - common)).sum())
    values = torch.full((len(x),), mean, dtype=torch.float64, device=left.indices.device)
    return _where_exact(left, right, x, y, values, torch.full_like(values, torch.nan))


def cycle_knn_moments(left: Neighbours, right: Neighbours, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Exact mean 1 - mean_i C(n-1-m_i, k) / C(n-1, k), m_i how many left lists hold i.

    NaN as in :func:`_where_exact`. The deviation has no closed form: NaN.
    """
    n, k = left.n, left.k
    indegree = torch.stack([list_.flatten().bincount(minlength=n) for list_ in left.indices]).cpu().numpy()
    missed = hypergeom(n - 1, indegree, k).pmf(0).mean(1)
    values = torch.as_tensor(1 - missed, device=left.indices.device)[x]
    return _where_exact(left, right, x, y, values, torch.full_like(values, torch.nan))
