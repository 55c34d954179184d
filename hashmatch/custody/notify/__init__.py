"""Telling the platform what became of a clip, and hearing its answer."""
