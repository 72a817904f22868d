"""The knobs of the synthetic worlds."""

from dataclasses import dataclass

DISH_BITS = 4  # bits of a dish's label: 16 classes
HATEFUL_SHARE = 0.36  # of the memes, after label noise
PARTS = ("unique_text", "unique_image", "synergy")
TINY = 1e-9


@dataclass(frozen=True, kw_only=True)
class Knobs:
    """What differs between synthetic roots of one kind.

    ``redundancy``, ``unique_text``, ``unique_image``, ``synergy``: how the four bits of a dish's
    label are told, in bits before label noise; they add up to 4. Each fraction needs a bit of
    its own, which it shares with redundancy: 1.5 of one part and 0.5 of another take three bits.
    ``label_noise`` in [0, 0.36): share of the memes' and the dishes' labels that are wrong.
    ``heterogeneity`` in 1..3: in how many ways each side expresses one and the same thing in
    genres and dishes. The text has that many words for it, the image that many colours, and
    which are taken is drawn on each side by itself. With 1, a thing has one word and one colour.
    """

    redundancy: float = 3.57
    unique_text: float = 0.28
    unique_image: float = 0.15
    synergy: float = 0.0
    label_noise: float = 0.05
    heterogeneity: int = 2

    def __post_init__(self):
        for part in ("redundancy", *PARTS):
            value = getattr(self, part)
            if not 0 <= value <= DISH_BITS:
                raise ValueError(f"{part} {value} must lie in [0, {DISH_BITS}] bits")
            object.__setattr__(self, part, float(value))  # 0 and 0.0 are equal, and must be written alike
        total = self.redundancy + sum(getattr(self, part) for part in PARTS)
        if abs(total - DISH_BITS) > TINY:
            raise ValueError(
                f"redundancy {self.redundancy}, unique_text {self.unique_text}, unique_image {self.unique_image}"
                f" and synergy {self.synergy} are {total:g} bits together instead of {DISH_BITS}"
            )
        if len(self._told()) > DISH_BITS:
            raise ValueError(
                f"unique_text {self.unique_text}, unique_image {self.unique_image} and synergy {self.synergy} need"
                f" {len(self._told())} bits, as each fraction needs one of its own: there are {DISH_BITS}"
            )
        if not 0 <= self.label_noise < HATEFUL_SHARE:
            raise ValueError(f"label_noise {self.label_noise} must lie in [0, {HATEFUL_SHARE}), the hateful share")
        object.__setattr__(self, "label_noise", float(self.label_noise))
        if self.heterogeneity not in (1, 2, 3):
            raise ValueError(f"heterogeneity {self.heterogeneity} must be 1, 2 or 3")

    def _told(self) -> list[tuple[str, float]]:
        told = []
        for part in PARTS:
            whole, rest = divmod(getattr(self, part) + TINY, 1)
            told += [(part, 1.0)] * int(whole) + [(part, rest - TINY)] * (rest > 2 * TINY)
        return told

    @property
    def slots(self) -> list[tuple[str, float]]:
        """For each bit of a dish's label, the part that it belongs to beside redundancy, and with which share."""
        told = self._told()
        return told + [("redundancy", 1.0)] * (DISH_BITS - len(told))


def levels(*parts: str, count: int = 5, **others) -> list[Knobs]:
    """Knobs from all redundant to all in ``parts``, shared equally, in ``count`` equal steps.

    With five levels and one part the steps are whole bits: then neither the texts by themselves
    nor the images by themselves differ in distribution between the levels, only what the two
    together tell of the label. A fraction of a bit adds marks of its own, as dishes.py says.
    ``others`` are further knobs.
    """
    if not parts or set(parts) - set(PARTS):
        raise ValueError(f"parts {', '.join(parts) or '(none)'}: one or more of {', '.join(PARTS)} are needed")
    if count < 2:
        raise ValueError(f"count {count} must be at least 2")
    shares = [i / (count - 1) for i in range(count)]
    return [
        Knobs(
            redundancy=DISH_BITS * (1 - share),
            **{part: DISH_BITS * share / len(parts) if part in parts else 0.0 for part in PARTS},
            **others,
        )
        for share in shares
    ]
