"""The report: what a run found, as one HTML page for people. Nothing in the core imports it."""
