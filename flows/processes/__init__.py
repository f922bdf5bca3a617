"""Processes of a flow run: on a leash, with their output read, and stopped all at once."""
