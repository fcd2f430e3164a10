"""The studio window: everything that knows Qt. PySide6 6.12.0 is refused: it frees True and None under Python 3.11."""
