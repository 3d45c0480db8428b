"""What an outsider can verify: checkpoints, proofs, keys, and where checkpoints are published.

Imported by: auditing, bridges, cli, transfer, upkeep.
Imports: content, display, errors, eventlog, files, input_files, model, places.
"""
