"""Floor 1: what lies on disk – runs, manifests, checkpoints, locks, and what made them."""
