"""What an operator does: doctor, rebuild, erasure, and a ledger at a glance.

Imported by: cli.
Imports: content, decisions, display, engine, errors, eventlog, files, input_files, model, past,
  places, projections, proving, registries, tracking, version.
"""
