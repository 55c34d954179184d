"""What was taken into custody."""
