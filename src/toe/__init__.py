"""toe runs power tools inside running pods, with exactly the security an administrator wrote down.

Four pure rooms answer four questions: ``api`` (what do our words mean), ``policy`` (may this run), ``plan`` (what is
next), ``report`` (what happened). Hands (``kube``) touch the world; doors (``controller``, ``cli``) let people and
machines in. Start reading in :mod:`toe.plan.planner`.
"""

__version__ = "0.1.0"
