"""Requests to the web: addresses, hosts, one request, and the store of outcomes."""
