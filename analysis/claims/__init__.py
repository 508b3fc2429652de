"""Claims: tables → parts with their estimates, one small pure function per claim.

``analysis.claims.ledger`` turns the parts into verdicts; statements, margins and sentences stand in
``conf/claims``.
"""
