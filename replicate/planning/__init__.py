"""Floor 5: from ``conf/`` to runs, cohorts and jobs.  The only place that knows Hydra."""
