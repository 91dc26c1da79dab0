"""DOOR: makes the cluster match what PowerTools ask for, as far as administrators permit.

``observe`` reads the caches into a snapshot, :func:`toe.plan.planner.plan` decides, ``apply`` acts. Start reading in
:mod:`toe.controller.reconcile`.
"""
