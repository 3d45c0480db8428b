"""The log: how facts are kept, in one order, with their proof. The framework's words stay here."""
