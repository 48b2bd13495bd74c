"""A small structural pipeline for T1-weighted heads, of pip-installable parts.

Values in, values out: nibabel images, arrays and frozen dataclasses. Importing
costs nothing; the heavy libraries are imported by the functions that use them.
"""
