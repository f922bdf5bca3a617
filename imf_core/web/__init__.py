"""The web, asked politely and once: addresses, hosts, one request, and the store of outcomes."""
