"""The public classes, and every way to ask for records.

A method of a record builds a command or asks a query.

Imported by: api, cli, tracking, upkeep, web.
Imports: content, decisions, display, engine, errors, files, input_files, model, past, places,
  projections, user_settings.
"""
