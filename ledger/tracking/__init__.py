"""What `track()` finds out about the world: environment, source, repository, parameters.

The modules that look return plain frozen values and write nothing; `context` alone knows of a
ledger, and a plan is made with it.

Imported by: api, cli.
Imports: content, decisions, display, engine, errors, model, past, places, registries,
  user_settings.
"""
