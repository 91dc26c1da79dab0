"""What do our words mean? Types only: frozen structs, their codec, and what is generated from them.

Imports nothing of ours but :mod:`toe.errors`. Start reading in :mod:`toe.api.powertool` (what a user asks for) and
:mod:`toe.api.powertoolconfig` (what an administrator permits).
"""
