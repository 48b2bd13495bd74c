"""Programs that another Python runs, with packages that nicarbon does not have.

Each is read as text and given to that Python; none is imported by nicarbon.
"""
