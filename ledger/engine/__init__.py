"""How a command is carried out: log and read models in one transaction, sessions, passes.

Imported by: api, auditing, cli, past, places, registries, tracking, transfer, upkeep.
Imports: decisions, display, errors, eventlog, files, input_files, model, projections.
"""
