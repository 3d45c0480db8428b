"""OpenLineage: runs that other tools tell of come in, and those of a ledger go out."""
