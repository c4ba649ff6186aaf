"""Platform metrics: what is measured of accounts and components, its values, and the APIs that give them out."""
