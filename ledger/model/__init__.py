"""What can be said: commands and events, registries as data, ids, canonical JSON, tree hashes.

Pure: nothing here reads a clock, a disk or a database.

Imported by: api, auditing, bridges, cli, decisions, display, engine, eventlog, past, places,
  projections, proving, registries, tracking, transfer, upkeep, user_settings, web.
Imports: errors, other_words.
"""
