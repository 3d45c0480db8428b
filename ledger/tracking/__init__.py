"""The findings of `track()` about the world: environment, source, repository, parameters.

The modules that look around return plain frozen values and write nothing; only `context` and
`plan` use a ledger.

Imported by: api, bridges, cli, upkeep.
Imports: content, decisions, display, engine, errors, forks, input_files, model, past, places,
  registries, user_settings.
"""
