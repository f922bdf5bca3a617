"""The stage prepare: from the raw folder to splits without leaks, texts and a summary."""
