"""Floor 4: a cohort from start to stored runs – resuming, signals, provenance, progress, mirror."""
