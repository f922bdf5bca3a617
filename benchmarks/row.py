"""One measured figure of a part."""

import re
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Row:
    """A figure of a part.

    Attributes:
        part: Name of the part.
        name: Name of the figure, unique within the part.
        value: Value in `unit`.
        unit: Unit, "x" for ratios.
        better: The better direction.
        target: Target in the row's unit, such as "at least 8x" or "at most 3 s".
        is_ratio: Whether it compares two cases measured side by side.
        note: Explanation for the reader, may be empty.
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
        """Returns whether the value reaches the target, None without a target.

        Raises:
            ValueError: If the target does not start with "at least" or "at most" and a number.
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
