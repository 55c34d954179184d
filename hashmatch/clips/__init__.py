"""Where clips live."""
