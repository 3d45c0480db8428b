"""The read side in SQL: statements as text, their tables, and one module for each database.

No module outside this room builds a statement about the read models.
"""
