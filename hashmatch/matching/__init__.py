"""Bits to a verdict."""
