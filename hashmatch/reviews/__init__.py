"""What people decide about matches, and what follows from it."""
