"""IMF: interactive multimodal fusion for knowledge-graph completion.

The library behind the pipeline's stages: data, features, model, training, evaluation and
inference. It takes typed configuration and paths, reads no environment variable and knows
nothing of DVC or Prefect.
"""
