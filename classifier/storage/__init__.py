"""Models at rest: one model is one folder of JSON and plain arrays, checked before it is opened.

Nothing here knows what a classifier is or how to run one; it knows files, checksums, names and
versions. No pickle is read or written.
"""
