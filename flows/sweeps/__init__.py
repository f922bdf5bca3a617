"""Many experiments over a space of values, and the book that is kept of them."""
