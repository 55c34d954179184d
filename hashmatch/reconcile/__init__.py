"""What the database says, against what the log says."""
