"""The audit: everything is read again, and what does not add up is told.

Imported by: cli, transfer.
Imports: content, decisions, display, engine, errors, eventlog, model, places, projections,
  proving.
"""
