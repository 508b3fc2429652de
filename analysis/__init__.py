"""The analysis: measures → statistics → summaries → figures and tables; claims → ledger → report.

It reads records, trains nothing and knows no formula of an algorithm.
"""

from replicate.messages import end_quietly_until_begun

end_quietly_until_begun()
