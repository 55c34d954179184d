"""The lists that act, as files that every worker maps, compiled when something of them changes."""
