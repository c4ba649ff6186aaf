"""The resource types of the local Azure, one small module each."""

from labkit.localazure.management.providers.accounts import ACCOUNTS
from labkit.localazure.management.providers.action_groups import ACTION_GROUPS
from labkit.localazure.management.providers.base import ResourceType
from labkit.localazure.management.providers.budgets import BUDGETS
from labkit.localazure.management.providers.components import COMPONENTS
from labkit.localazure.management.providers.deployments import DEPLOYMENTS
from labkit.localazure.management.providers.metric_alerts import METRIC_ALERTS
from labkit.localazure.management.providers.models import LOCATIONS
from labkit.localazure.management.providers.scheduled_query_rules import SCHEDULED_QUERY_RULES

__all__ = ["TYPES", "ResourceType"]

_ALL = (ACCOUNTS, DEPLOYMENTS, LOCATIONS, COMPONENTS, METRIC_ALERTS, SCHEDULED_QUERY_RULES, ACTION_GROUPS, BUDGETS)
TYPES: dict[str, ResourceType] = {type.name.lower(): type for type in _ALL}
