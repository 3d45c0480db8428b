"""The rules, one module a subject: state and command in, events out; no I/O, clock or chance.

Imported by: auditing, bridges, display, engine, past, registries, tracking, upkeep.
Imports: errors, model.
"""
