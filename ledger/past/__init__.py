"""As of: points, history, differences and lineage. Knows rows, not the classes of records.

Imported by: bridges, cli, registries, tracking, upkeep, web.
Imports: decisions, display, engine, errors, eventlog, model, places, projections.
"""
