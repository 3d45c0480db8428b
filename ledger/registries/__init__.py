"""The public classes: what users hold in hand. A method builds a command, or asks a query."""
