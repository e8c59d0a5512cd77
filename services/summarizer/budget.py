"""How long a summary may be: one of four measures, within its range."""

from dataclasses import dataclass

RANGES: dict[str, tuple[float, float]] = {
    "sentences": (1, 100),
    "words": (1, 10_000),
    "characters": (1, 100_000),
    "ratio": (0.0, 1.0),
}
"""As `SummaryBudget` in `article.proto` documents them; the ratio's lower end is excluded."""


class BudgetOutOfRange(ValueError):
    """A budget outside its range; `field`, `value`, `low` and `high` say which and what is allowed."""

    def __init__(self, field: str, value: float, low: float, high: float) -> None:
        super().__init__(f"budget.{field} is {value:g}, allowed is {low:g} to {high:g}.")
        self.field = field
        self.value = value
        self.low = low
        self.high = high


@dataclass(frozen=True, slots=True)
class Budget:
    """Exactly one of the four is set. Raises BudgetOutOfRange."""

    sentences: int | None = None
    words: int | None = None
    characters: int | None = None
    ratio: float | None = None

    def __post_init__(self) -> None:
        values = {name: getattr(self, name) for name in RANGES if getattr(self, name) is not None}
        if len(values) != 1:
            raise ValueError(f"a budget has one measure, not {len(values)}")
        [(name, value)] = values.items()
        low, high = RANGES[name]
        if not low <= value <= high or value <= 0:  # "not a number" fails every comparison
            raise BudgetOutOfRange(name, value, low, high)
