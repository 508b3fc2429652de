"""The report: one self-contained HTML file that opens anywhere; findings first.

``page`` puts it together: what was found (``cards``, with pictures by ``intervals``), the studies
(``studies``), what they are made of and cost (``provenance``) and how often its intervals and
verdicts are right (``simulations``), all of them of tables, pictures and downloads (``elements``).
"""
