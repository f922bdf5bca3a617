"""Many experiments over a space of values, and the study that records them."""
