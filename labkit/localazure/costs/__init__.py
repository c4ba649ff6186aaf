"""Cost Management: what was spent, by what, and the budgets that watch it."""
