"""Figures of the probes' records, on the objective and on single updates; each is a program."""
