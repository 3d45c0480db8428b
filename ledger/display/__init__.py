"""What people see: messages, progress, rows and tables of records.

Imported by: api, auditing, bridges, cli, engine, past, places, proving, registries, tracking,
  transfer, upkeep, web.
Imports: decisions, errors, model, projections, user_settings.
"""
