"""Uses a trained model: saves, loads, predicts new facts, answers questions, exports results."""
