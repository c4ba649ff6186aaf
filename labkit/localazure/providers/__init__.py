"""The resource types of the local Azure, one small module each."""

from labkit.localazure.providers.accounts import ACCOUNTS
from labkit.localazure.providers.action_groups import ACTION_GROUPS
from labkit.localazure.providers.base import ResourceType
from labkit.localazure.providers.budgets import BUDGETS
from labkit.localazure.providers.components import COMPONENTS
from labkit.localazure.providers.deployments import DEPLOYMENTS
from labkit.localazure.providers.metric_alerts import METRIC_ALERTS
from labkit.localazure.providers.models import LOCATIONS

__all__ = ["TYPES", "ResourceType"]

_ALL = (ACCOUNTS, DEPLOYMENTS, LOCATIONS, COMPONENTS, METRIC_ALERTS, ACTION_GROUPS, BUDGETS)
TYPES: dict[str, ResourceType] = {type.name.lower(): type for type in _ALL}
