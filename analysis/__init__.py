"""Floor A: scores → figures, tables → report.  Reads records; trains nothing, knows no formula
of an algorithm.
"""

import sys

from replicate.messages import end_quietly_until_begun

if sys.argv[:1] == ["-m"]:  # as in replicate
    end_quietly_until_begun()
