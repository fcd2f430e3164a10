"""Recipe, stages, session, losses, metrics, checkpoints, messages."""
