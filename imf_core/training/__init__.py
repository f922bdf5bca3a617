"""Training, selection on valid, and the fit of the decision weights."""
