"""What a run found and changed, as Markdown for its page in the UI."""
