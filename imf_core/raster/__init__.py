"""Images as bytes: formats that are read, checks, re-encoding, shards."""
