"""The command line: one file per command; turns events into a screen and errors into exit codes."""
