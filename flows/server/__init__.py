"""What `make ui` needs of Prefect's server."""
