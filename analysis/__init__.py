"""Floor A: scores → figures, tables → report.  Reads records; trains nothing, knows no formula
of an algorithm.
"""

from replicate.messages import end_quietly_until_begun

end_quietly_until_begun()
