"""Partial information decomposition by the definition of Bertschinger et al. (2014), numerically."""

import numpy as np


def information(joint: np.ndarray) -> float:
    """Mutual information in bits of the two axes of ``joint``."""
    independent = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    there = joint > 0
    return float((joint[there] * np.log2(joint[there] / independent[there])).sum())


def decompose(joint: np.ndarray, rounds: int = 500, fits: int = 20) -> dict[str, float]:
    """The decomposition of ``joint`` (labels, texts, images), in bits.

    Least I_Q(Y; T, V) over all Q with the pair distributions (Y, T) and (Y, V) of ``joint``: a convex
    program. Double minimisation (Banerjee et al. 2018) takes in turn the distribution R of (T, V)
    under Q, and for each label the Q nearest to R that has the right margins, which iterative
    proportional fitting finds.
    """
    joint = joint[joint.sum((1, 2)) > 0] / joint.sum()
    labels = joint.sum((1, 2))
    texts, images = joint.sum(2) / labels[:, None], joint.sum(1) / labels[:, None]
    q = texts[:, :, None] * images[:, None, :]
    for _ in range(rounds):
        q = np.broadcast_to(np.tensordot(labels, q, 1), q.shape)
        for _ in range(fits):
            q = q * _ratio(texts, q.sum(2))[:, :, None]
            q = q * _ratio(images, q.sum(1))[:, None, :]
    assert np.abs(q.sum(2) - texts).max() < 1e-4, "the margins are not met: more fits are needed"
    least = information((labels[:, None, None] * q).reshape(len(labels), -1))
    text, image = information(joint.sum(2)), information(joint.sum(1))
    both = information(joint.reshape(len(labels), -1))
    return {
        "redundancy": text + image - least,
        "unique_text": least - image,
        "unique_image": least - text,
        "synergy": both - least,
        "noise": -float((labels * np.log2(labels)).sum()) - both,
    }


def _ratio(wanted: np.ndarray, found: np.ndarray) -> np.ndarray:
    return np.divide(wanted, found, out=np.zeros_like(wanted), where=found > 0)
