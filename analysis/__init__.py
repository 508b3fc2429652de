"""Floor A: scores → figures, tables → report.  Reads records; trains nothing, knows no formula
of an algorithm.
"""
