"""Bytes to frames."""
