"""The read side: folds of the log, and the stores that hold them. This file imports nothing.

Imported by: auditing, display, engine, eventlog, past, places, registries, transfer, upkeep,
  web.
Imports: errors, model.
"""
