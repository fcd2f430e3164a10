"""What scripts can do, in the window's console and headless: the same names, the same meaning."""
