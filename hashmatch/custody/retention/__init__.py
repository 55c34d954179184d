"""How long a case is kept, what is due, and whether this host's clock can be believed."""
