"""The command `imf`: runs the pipeline, reads its results and asks the trained model."""
