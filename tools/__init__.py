"""Programs that make committed files; no other package imports them."""
