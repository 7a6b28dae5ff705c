"""The machine that holds the journal is gone: everything is built again elsewhere, from
the backup bucket and the recovery key alone; or that is rehearsed.
"""
