"""What people and schedulers do, each operation once, whichever way it is asked for."""
