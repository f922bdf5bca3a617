"""Pictures: flags of the atlas, and checks and re-encoding of picture files."""
