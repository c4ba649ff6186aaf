"""Azure Monitor's alerts: rules are evaluated, alerts fire and resolve, action groups are told."""
