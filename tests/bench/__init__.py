"""Measurements of rossfs beside its peers, as ratios within one run: `scripts/bench`.

One file for each thing measured; `report.py` prints, `mounted.py` mounts, `bulk.py` makes stores.
"""
