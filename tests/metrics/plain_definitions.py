"""What each measure is, slow and one sample, pair or neighbour at a time; nothing here is the library's."""

from itertools import combinations

import numpy as np
from scipy import special, stats
from scipy.linalg import subspace_angles
from scipy.optimize import linprog

DIGITS = 12  # cosines and distances that agree in so many decimals are tied


def centred(X):
    return X - sum(X) / len(X)


def inner_products(X):
    return np.array([[float(a @ b) for b in X] for a in X])


def doubly_centred(K):
    H = np.eye(len(K)) - 1 / len(K)
    return H @ K @ H


# Kernels


def cosine_of_matrices(K, L):
    cells = [(i, j) for i in range(len(K)) for j in range(len(K))]
    product, of_k, of_l = (sum(A[c] * B[c] for c in cells) for A, B in ((K, L), (K, K), (L, L)))
    return product / np.sqrt(of_k * of_l) if of_k * of_l > 0 else 0.0


def cka(X, Y, **_):
    return cosine_of_matrices(inner_products(centred(X)), inner_products(centred(Y)))


def rbf(X, threshold):
    squared = np.array([[((a - b) ** 2).sum() for b in X] for a in X])
    median = np.median(squared)
    kernel = np.exp(-squared / (2 * threshold**2 * median)) if median > 0 else (squared == 0).astype(float)
    return doubly_centred(kernel)


def cka_rbf(X, Y, threshold=1.0, **_):
    return cosine_of_matrices(rbf(X, threshold), rbf(Y, threshold))


def unbiased_hsic(K, L):
    """Song et al. 2012, equation 5."""
    n, one = len(K), np.ones(len(K))
    K, L = (A - np.diag(np.diag(A)) for A in (K, L))
    whole = (one @ K @ one) * (one @ L @ one) / ((n - 1) * (n - 2))
    return (np.trace(K @ L) + whole - 2 / (n - 2) * one @ K @ L @ one) / (n * (n - 3))


def unbiased_cka(X, Y, **_):
    K, L = inner_products(centred(X)), inner_products(centred(Y))
    return unbiased_hsic(K, L) / np.sqrt(unbiased_hsic(K, K) * unbiased_hsic(L, L))


# Canonical correlation


def left_singular_vectors(X):
    vectors, values, _ = np.linalg.svd(centred(X), full_matrices=False)
    rank = int((values > 1e-7 * values[0]).sum())
    return vectors[:, :rank], values[:rank]


def mean_canonical_correlation(U, V):
    return float(np.cos(subspace_angles(U, V)).sum()) / min(U.shape[1], V.shape[1])


def svcca(X, Y, q=10, **_):
    return mean_canonical_correlation(*(left_singular_vectors(Z)[0][:, :q] for Z in (X, Y)))


def holding_variance(X, variance):
    vectors, values = left_singular_vectors(X)
    kept, share = 0, 0.0
    while share < variance - 1e-12:
        share += values[kept] ** 2 / (values**2).sum()
        kept += 1
    return vectors[:, :kept]


def cca(X, Y, variance=0.99, **_):
    return mean_canonical_correlation(*(holding_variance(Z, variance) for Z in (X, Y)))


def pwcca(X, Y, variance=0.99, **_):
    """Variates of X are the eigenvectors of the projection onto Y, seen from within the projection onto X."""
    U, V = (holding_variance(Z, variance) for Z in (X, Y))
    _, inner = np.linalg.eigh(U.T @ V @ V.T @ U)
    variates = [U @ column for column in inner.T[::-1]]
    rho = [min(1.0, np.linalg.norm(V.T @ h)) for h in variates]
    number = min(U.shape[1], V.shape[1])
    weights, i = [], 0
    while i < len(rho):  # equal correlations: any rotation of their variates will do, and the mean is taken
        g = 1
        while i + g < len(rho) and rho[i + g - 1] - rho[i + g] < 1e-6:
            g += 1
        lengths = [np.linalg.norm([h @ feature for h in variates[i : i + g]]) for feature in centred(X).T]
        weights += g * [sum(lengths) * special.beta(g / 2, 1 / 2) / np.pi]
        i += g
    return float(np.average(rho[:number], weights=weights[:number]))


# Neighbours


def cosine_similarity(a, b):
    a_norm, b_norm = np.linalg.norm(a), np.linalg.norm(b)
    return float(a @ b) / (a_norm * b_norm) if a_norm * b_norm > 0 else 0.0


def neighbours(X, k):
    """For each sample the k others that are nearest by cosine, nearest first, the first ones among ties."""
    lists = []
    for i in range(len(X)):
        similarity = {j: round(cosine_similarity(X[i], X[j]), DIGITS) for j in range(len(X)) if j != i}
        lists.append(sorted(similarity, key=lambda j: (-similarity[j], j))[:k])
    return lists


def over_samples(score):
    """A measure that is the mean over samples of a score of their two neighbour lists."""

    def measure(X, Y, k=10, **_):
        lists = zip(neighbours(X, k), neighbours(Y, k), strict=True)
        return float(np.mean([score(a, b) for a, b in lists]))

    return measure


@over_samples
def mknn(a, b):
    return len(set(a) & set(b)) / len(a)


@over_samples
def jaccard(a, b):
    return len(set(a) & set(b)) / len(set(a) | set(b))


@over_samples
def rank(a, b):
    common = set(a) & set(b)
    ranks = [(a.index(j) + 1, b.index(j) + 1) for j in common]
    total = sum(2 / ((1 + abs(r - s)) * (r + s)) for r, s in ranks)
    return total / sum(1 / r for r in range(1, len(common) + 1)) if common else 0.0


@over_samples
def lcs_knn(a, b):
    table = np.zeros((len(a) + 1, len(b) + 1), dtype=int)
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            same = a[i - 1] == b[j - 1]
            table[i, j] = table[i - 1, j - 1] + 1 if same else max(table[i - 1, j], table[i, j - 1])
    return table[-1, -1] / len(a)


@over_samples
def edit_knn(a, b):
    table = np.zeros((len(a) + 1, len(b) + 1), dtype=int)
    table[:, 0], table[0] = range(len(a) + 1), range(len(b) + 1)
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            changed = table[i - 1, j - 1] + (a[i - 1] != b[j - 1])
            table[i, j] = min(changed, table[i - 1, j] + 1, table[i, j - 1] + 1)
    return 1 - table[-1, -1] / len(a)


def cycle_knn(X, Y, k=10, **_):
    of_x, of_y = neighbours(X, k), neighbours(Y, k)
    return float(np.mean([any(i in of_x[j] for j in of_y[i]) for i in range(len(X))]))


def cknna(X, Y, k=10, **_):
    n = len(X)
    K, L = (np.array([[cosine_similarity(a, b) for b in Z] for a in Z]) for Z in (X, Y))
    of_k, of_l = (np.array([[j in near for j in range(n)] for near in neighbours(Z, k)]) for Z in (X, Y))
    both = of_k & of_l
    own = unbiased_hsic(K * of_k, K * of_k), unbiased_hsic(L * of_l, L * of_l)
    return unbiased_hsic(K * both, L * both) / np.sqrt(own[0] * own[1]) if min(own) > 1e-15 else 0.0


# Shapes, distances, predictions


def procrustes(X, Y, **_):
    X, Y = centred(X), centred(Y)
    return np.linalg.norm(X.T @ Y, "nuc") / (np.linalg.norm(X) * np.linalg.norm(Y))


def procrustes_distance(X, Y, **_):
    return np.sqrt(max(0.0, 2 - 2 * procrustes(X, Y)))


def correlation_distance(a, b):
    a, b = a - a.mean(), b - b.mean()
    alike = min(np.linalg.norm(a), np.linalg.norm(b)) > 1e-13
    return round(1 - cosine_similarity(a, b), DIGITS) if alike else 1.0


def rsa(X, Y, **_):
    first, second = ([correlation_distance(Z[i], Z[j]) for i, j in combinations(range(len(Z)), 2)] for Z in (X, Y))
    if len(set(first)) == 1 or len(set(second)) == 1:
        return 0.0
    return stats.spearmanr(first, second).statistic


def r2(X, Y, penalty=None, **_):
    """Every sample is predicted by a ridge regression, with intercept, on all others."""
    n = len(X)
    penalty = 0.1 * (centred(X) ** 2).sum() / n if penalty is None else penalty
    error = of_mean = 0.0
    for i in range(n):
        rest = [j for j in range(n) if j != i]
        x, y = X[rest] - X[rest].mean(0), Y[rest] - Y[rest].mean(0)
        if len(x) < x.shape[1]:
            weights = x.T @ np.linalg.solve(x @ x.T + penalty * np.eye(n - 1), y)
        else:  # least squares with one more sample a feature: sqrt(penalty) should give 0
            more_x, more_y = np.sqrt(penalty) * np.eye(x.shape[1]), np.zeros((x.shape[1], y.shape[1]))
            weights = np.linalg.lstsq(np.vstack([x, more_x]), np.vstack([y, more_y]), rcond=None)[0]
        predicted = Y[rest].mean(0) + (X[i] - X[rest].mean(0)) @ weights
        error += ((Y[i] - predicted) ** 2).sum()
        of_mean += ((Y[i] - Y[rest].mean(0)) ** 2).sum()
    return 1 - error / of_mean


def r2_ols(X, Y, **_):
    vectors, values, _ = np.linalg.svd(centred(X), full_matrices=False)
    vectors = vectors[:, values > 1e-7 * values[0]]
    return ((vectors.T @ centred(Y)) ** 2).sum() / (centred(Y) ** 2).sum()


# Feature by feature


def cosine(X, Y, **_):
    return float(np.mean([cosine_similarity(a, b) for a, b in zip(X, Y, strict=True)]))


def max_sim_tp(X, Y, x_mask=None, y_mask=None, **_):
    X, Y = (Z if Z.ndim == 3 else Z[:, None] for Z in (X, Y))
    x_mask, y_mask = (np.ones(Z.shape[:2], bool) if m is None else m for Z, m in ((X, x_mask), (Y, y_mask)))
    samples = []
    for i in range(len(X)):
        texts = [t for t, counts in zip(X[i], x_mask[i], strict=True) if counts]
        patches = [p for p, counts in zip(Y[i], y_mask[i], strict=True) if counts]
        samples.append(np.mean([max(cosine_similarity(t, p) for p in patches) for t in texts]))
    return float(np.mean(samples))


def max_sim_pt(X, Y, x_mask=None, y_mask=None, **_):
    return max_sim_tp(Y, X, y_mask, x_mask)


def wasserstein(X, Y, **_):
    """The linear programme over all plans with the marginals 1/n."""
    n = len(X)
    cost = np.array([[1 - cosine_similarity(a, b) for b in Y] for a in X])
    rows, columns = np.kron(np.eye(n), np.ones(n)), np.kron(np.ones(n), np.eye(n))
    exact = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
    plan = linprog(cost.ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.full(2 * n, 1 / n), options=exact)
    assert plan.success
    return plan.fun


def distance_correlation(X, Y, **_):
    A, B = (doubly_centred(np.array([[np.linalg.norm(a - b) for b in Z] for a in Z])) for Z in (X, Y))
    return (A * B).sum() / ((A * A).sum() * (B * B).sum()) ** 0.5


PLAIN = {
    "cka": cka,
    "cka_rbf": cka_rbf,
    "unbiased_cka": unbiased_cka,
    "svcca": svcca,
    "cca": cca,
    "pwcca": pwcca,
    "mknn": mknn,
    "cknna": cknna,
    "cycle_knn": cycle_knn,
    "lcs_knn": lcs_knn,
    "edit_knn": edit_knn,
    "jaccard": jaccard,
    "rank": rank,
    "procrustes": procrustes,
    "procrustes_distance": procrustes_distance,
    "rsa": rsa,
    "distance_correlation": distance_correlation,
    "r2": r2,
    "r2_ols": r2_ols,
    "cosine": cosine,
    "max_sim_tp": max_sim_tp,
    "max_sim_pt": max_sim_pt,
    "wasserstein": wasserstein,
}
