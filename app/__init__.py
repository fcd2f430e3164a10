"""What people touch: the command line, later the desktop window and the scripting console."""
