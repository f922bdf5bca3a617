"""A page and a JSON API over a trained model: `imf serve`."""
