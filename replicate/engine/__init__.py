"""Floor 3: the lane engine – rollout, lockstep loop, seeding, the training state."""
