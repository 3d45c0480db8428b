"""What `track()` finds out about the world: environment, source, repository, parameters, actor.

Every module here returns plain frozen values and writes nothing. None of them knows of a ledger,
a log or a database; what a finding means for a run is decided elsewhere.
"""
