"""The builder of the embedded data set."""
