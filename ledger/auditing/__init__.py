"""The audit: everything is read again, and what does not add up is told."""
