"""The parts: modules with `measure(threads: int) -> list[Row]`."""
