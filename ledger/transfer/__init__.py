"""The log on its way between places: out to an archive, and in again.

Imported by: cli.
Imports: auditing, content, display, engine, errors, eventlog, files, input_files, model,
  places, projections, proving.
"""
