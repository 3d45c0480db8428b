"""Similar names: advice before a name is registered that nearly exists already.

Identity is the exact name and is decided elsewhere; this folder never makes two records one.
`normalise` finds the compared parts of a name, `rule` tells whether two names are similar, `index`
keeps the names of one registry and answers, and `search` ranks names for a typed search text.
This module imports nothing.
"""
