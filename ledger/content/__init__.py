"""Content: the bytes of artifacts, how they are hashed, remembered and stored."""
