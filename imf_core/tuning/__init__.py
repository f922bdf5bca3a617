"""The choice of every parameter that is `auto`, by rules of thumb and by short trials on valid."""
