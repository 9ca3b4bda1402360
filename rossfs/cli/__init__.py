"""The command line: the only reader of the environment and of argv, and the only printer.

main.py holds the table of commands and the one place that turns an error into a line on standard
error and an exit status.  Each command is one file whose `command` is a click command; it is
imported when it is used, so that `rossfs --help` and the shell's completion stay quick.
"""
