"""May it? Pure judgement: no network, no clock, no environment, no log. Imports :mod:`toe.api` only.

Start reading in :mod:`toe.policy.chains`: the rules in order. Each rule is one file in :mod:`toe.policy.checks`.
"""
