"""Image features: built-in, of a pretrained model, or precomputed."""
