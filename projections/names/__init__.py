"""Similar names: advice for whoever is about to register a name that is nearly there already.

Identity is the exact name and is decided elsewhere; nothing in here can make two records one.
`normalise` says what of a name is compared, `rule` says when two names are similar, `index` keeps
the names of one registry and answers, and `search` ranks names for a typed search text.
This module imports nothing.
"""
