"""What a run tells people and monitors."""
