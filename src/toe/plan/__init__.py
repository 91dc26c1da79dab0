"""What is the next step? Pure: a Snapshot goes in, a Plan comes out. Imports :mod:`toe.api` and :mod:`toe.policy`.

Start reading in :mod:`toe.plan.planner`; :mod:`toe.plan.container` is the only builder of what enters a pod.
"""
