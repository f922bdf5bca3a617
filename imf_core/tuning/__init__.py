"""Chooses every parameter that is `auto`, by rules of thumb and short trials on valid."""
