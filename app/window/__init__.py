"""The studio window: everything that knows Qt."""
