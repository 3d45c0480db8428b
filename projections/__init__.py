"""The read side: folds of the log, and the stores that hold them. Imports nothing, ever."""
