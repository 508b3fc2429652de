"""Floor 3: what makes the numbers and nothing else – cohort loop, rollout, state, seeding."""
