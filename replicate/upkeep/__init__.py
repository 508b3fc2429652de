"""Floor 7: what looks after a checkout – doctor, estimate, retrain, self-test, traces."""
