"""The bytes of artifacts: how they are hashed, remembered, stored and opened.

Imported by: auditing, bridges, eventlog, places, proving, registries, tracking, transfer,
  upkeep.
Imports: errors, files, forks, input_files, user_settings.
"""
