"""Sweeps: very many random checks, a row of a SQLite file each, resumable, on this machine or a Dask cluster.

`resumable_sweep` asks the `store` which seeds have no row yet, has `worker_pools` make these `rows`, and stores them;
`summary` counts them. The commands import this room, and it imports all kinds of check.
"""
