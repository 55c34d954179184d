"""hashmatch looks at every clip: frames, perceptual hashes, vetted lists, custody, audit trail."""

__version__ = "0.1.0"
