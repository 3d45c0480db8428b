"""What is SQL on the read side: statements as text, their tables, and one module a database.

Nothing outside this room builds a statement about the read models.
"""
