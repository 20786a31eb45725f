"""Sweeps: very many random checks, a row of a SQLite file each, resumable, on this machine or a Dask cluster.

The data's way: `settings` (what is swept) -> `store` (which seeds have no row yet) -> `workers` (processes that make
`rows`) -> `store` -> `summary`. The commands import this room, and it imports all kinds of check.
"""
