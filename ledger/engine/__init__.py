"""How a command is carried out: log and read models in one transaction, sessions, passes.

Imported by: api, auditing, places, registries, tracking, transfer, upkeep.
Imports: decisions, errors, eventlog, model, projections.
"""
