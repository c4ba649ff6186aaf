"""The control plane: what Azure Resource Manager and the resource providers answer."""
