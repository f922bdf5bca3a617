"""Using a trained model: save, load, predict new facts."""
