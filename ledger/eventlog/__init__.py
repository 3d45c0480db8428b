"""How facts are kept: in one order, with their proof, in SQLite, PostgreSQL or Parquet.

The framework's words stay here.

Imported by: auditing, bridges, engine, past, places, proving, transfer, upkeep.
Imports: content, errors, files, forks, input_files, model, projections.
"""
