"""Using a trained model: save, load, predict new facts, ask it, take its results elsewhere."""
