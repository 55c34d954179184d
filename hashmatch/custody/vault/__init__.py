"""Where sealed clips are kept: sealing, reading back, rewrapping, and which vault this is."""
