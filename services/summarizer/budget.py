"""How long a summary may be: `SummaryBudget` of the protos as a checked value."""

import math
from dataclasses import dataclass

RANGES: dict[str, tuple[float, float]] = {
    "sentences": (1, 100),
    "words": (1, 10_000),
    "characters": (1, 100_000),
    "ratio": (0.0, 1.0),
}
"""As `SummaryBudget` documents them; the ratio's lower end is excluded."""


class BudgetOutOfRange(ValueError):
    """The limit is outside what `SummaryBudget` allows."""

    def __init__(self, field: str, value: float, low: float, high: float) -> None:
        excluded = ", 0 excluded" if field == "ratio" else ""
        super().__init__(f"budget.{field} is {value:g}, allowed is {low:g} to {high:g}{excluded}.")
        self.field = field
        self.value = value
        self.low = low
        self.high = high


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Exactly one limit, e.g. `Budget(sentences=3)`. Raises BudgetOutOfRange if its value is not allowed."""

    sentences: int | None = None
    words: int | None = None
    characters: int | None = None
    ratio: float | None = None

    def __post_init__(self) -> None:
        limits = {name: getattr(self, name) for name in RANGES if getattr(self, name) is not None}
        if len(limits) != 1:
            raise TypeError(
                f"A budget has exactly one limit, this one has {len(limits)}: {', '.join(limits) or 'none'}."
            )
        [(name, value)] = limits.items()
        low, high = RANGES[name]
        if not low <= value <= high or value <= 0:  # also refuses "not a number"
            raise BudgetOutOfRange(name, value, low, high)

    def capacity(self, choosable: int) -> int:
        """Return how much the sentences may cost together, where `choosable` of them could be chosen."""
        if self.ratio is not None:
            # Rounded first: 0.1 * 30 is 3.0000000000000004, which nobody means to be 4 sentences.
            return max(1, math.ceil(round(self.ratio * choosable, 9)))
        if self.characters is not None:
            return self.characters + 1  # every sentence costs the space before the next; after the last there is none
        return self.sentences or self.words or 0

    def cost(self, text: str) -> int:
        """Return what a sentence takes of the capacity. A word is what stands between white space."""
        if self.characters is not None:
            return len(text) + 1
        if self.words is not None:
            return len(text.split())
        return 1
