"""One measured figure, as the parts give it and the results keep it."""

import re
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Row:
    """A figure of a part.

    Attributes:
        part: The part that measured it.
        name: What was measured; unique within the part.
        value: In `unit`.
        unit: "x" for ratios.
        better: Which direction is better.
        target: What it should reach, "at least 8x" or "at most 3 s" in the row's unit.
        is_ratio: Whether it compares two things that were measured side by side.
        note: What a reader must know to read it, a sentence or empty.
    """

    part: str
    name: str
    value: float
    unit: str
    better: Literal["higher", "lower", "none"]
    target: str | None
    is_ratio: bool
    note: str = ""

    def is_reached(self) -> bool | None:
        """Says whether the value reaches the target, None where there is none.

        Raises:
            ValueError: If the target is not "at least" or "at most" a number.
        """
        if self.target is None:
            return None
        found = re.match(r"at (least|most) (\d+(?:\.\d+)?)", self.target)
        if found is None:
            raise ValueError(
                f'the target of "{self.name}" in part {self.part} must start with "at least" or '
                f'"at most" and a number, got "{self.target}"'
            )
        bound = float(found[2])
        return self.value >= bound if found[1] == "least" else self.value <= bound
