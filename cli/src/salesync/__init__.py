"""The command line of the system: one module for each group of commands, composed in __main__."""
