"""What image and text features share: precomputed files, pretrained models, Ray workers."""
