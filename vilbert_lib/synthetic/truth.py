"""What can be known of a task's labels: partial information in bits, and the best possible accuracy."""

from dataclasses import dataclass, field
from math import log2


def entropy(*chances: float) -> float:
    """Entropy in bits of a distribution; one number alone is the chance of an event."""
    chances = (*chances, 1 - chances[0]) if len(chances) == 1 else chances
    return -sum(chance * log2(chance) for chance in chances if chance > 0)


@dataclass(frozen=True, kw_only=True)
class Truth:
    """How much text and image tell about a label, and how well it can be guessed.

    The first four are the partial information decomposition of Williams and Beer (2010) with the
    measures of Bertschinger et al. (2014, "BROJA"), in bits; with ``noise``, what neither side
    tells, they add up to the label's entropy. ``best`` is the accuracy that no model can beat
    given ``text``, ``image`` or ``both``. ``label_noise`` is the share of labels that are wrong.

    BROJA in short: with Y the label, T the text and V the image, let Q be any joint distribution
    that has the true pair distributions of (Y, T) and of (Y, V). The unique information of T is
    the least I_Q(Y; T | V) over all Q, redundancy is I(Y; T) less that, and synergy what I(Y; T, V)
    has beyond redundancy and both unique parts. So only synergy depends on how T and V go
    together. Where T can be made from V by noise alone, T has no unique information.
    """

    redundancy: float = 0.0
    unique_text: float = 0.0
    unique_image: float = 0.0
    synergy: float = 0.0
    noise: float = 0.0
    best: dict[str, float] = field(default_factory=dict)
    label_noise: float = 0.0

    @property
    def bits(self) -> dict[str, float]:
        """The decomposition, by name."""
        return {
            "redundancy": self.redundancy,
            "unique_text": self.unique_text,
            "unique_image": self.unique_image,
            "synergy": self.synergy,
            "noise": self.noise,
        }
