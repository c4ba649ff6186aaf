"""How the four tasks are scored: one module a task, pure functions from evidence to points with a reason."""
