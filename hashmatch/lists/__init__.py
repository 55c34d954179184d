"""What partners send."""
