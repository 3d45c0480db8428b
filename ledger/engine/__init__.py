"""How a command is carried out: log and read models in one transaction, sessions, passes.

Imported by: api, auditing, bridges, cli, past, places, registries, tracking, transfer, upkeep,
  web.
Imports: decisions, display, errors, eventlog, files, forks, input_files, model, projections.
"""
