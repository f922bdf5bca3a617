"""Results and changes of a run, as Markdown for its page in the UI."""
