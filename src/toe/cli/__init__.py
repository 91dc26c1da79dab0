"""DOOR: the person's hand, ``kubectl toe``. Reads files or the cluster, asks the judges, prints what they say.

Start reading in :mod:`toe.cli.program`: every command with its options. One module per command does the work, imported
when the command is called, so that ``--help`` answers at once.
"""
