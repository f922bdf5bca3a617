"""A path network that scores the entities of any graph, its reasons and its fine-tuning."""
