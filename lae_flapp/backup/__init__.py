"""The journal's continuous backup, in a bucket of its own.

``docs/backup-layout.rst`` says what lies there.
"""
