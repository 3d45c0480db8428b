"""LaminDB: an instance of it, SQLite or PostgreSQL, is read and brought into the ledger in use."""
