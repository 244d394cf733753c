"""Messages that arrive as files in a folder, one message per file."""
