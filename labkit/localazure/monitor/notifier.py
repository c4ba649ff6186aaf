"""Action groups at work: for each receiver a line in the outbox, and for each webhook a post."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import orjson

from labkit.localazure.monitor.alerts import Alert, Modification
from labkit.localazure.monitor.outbox import Notification, Outbox
from labkit.localazure.monitor.payloads import payload, subject
from labkit.localazure.monitor.webhooks import Webhooks, shown
from labkit.localazure.resources import Resource

if TYPE_CHECKING:
    from labkit.localazure.state import Azure

_GROUP_TYPE = "microsoft.insights/actiongroups"
# The receivers that nothing is sent to, and the field that says whom or what they mean.
_CHANNELS = {
    "emailReceivers": ("email", "emailAddress"),
    "smsReceivers": ("sms", "phoneNumber"),
    "voiceReceivers": ("voice", "phoneNumber"),
    "azureAppPushReceivers": ("push", "emailAddress"),
    "armRoleReceivers": ("role", "roleId"),
    "itsmReceivers": ("itsm", "workspaceId"),
    "automationRunbookReceivers": ("runbook", "runbookName"),
    "logicAppReceivers": ("logic app", "resourceId"),
    "azureFunctionReceivers": ("function", "functionName"),
    "eventHubReceivers": ("event hub", "eventHubName"),
}
_NOT_SENT = "The local Azure sends webhooks only; this is what the service would have sent."


class Notifier:
    """Tells the receivers of action groups about alerts and keeps the outbox."""

    def __init__(self, azure: "Azure") -> None:
        self._azure = azure
        self.outbox = Outbox()
        self.webhooks = Webhooks(azure.clock.now, lambda: azure.url)

    def tell(self, group_ids: Iterable[str], alert: Alert, at_s: float, context: dict[str, Any] | None = None) -> None:
        """Tell every enabled group about ``alert`` as it stands, each group once.

        ``context`` is how things are now, for an alert that is resolved; without one its own is sent.
        """
        told = False
        for id in dict.fromkeys(id.lower() for id in group_ids):
            group = self._azure.resources.get(id)
            if group is not None and group.type.lower() == _GROUP_TYPE and group.properties.get("enabled", True):
                self._tell_group(group, alert, at_s, context or alert.context)
                told = True
        if told:
            alert.note(Modification("ActionsTriggered", at_s, "System"))

    def would_send(self, alert: Alert, at_s: float, *, channel: str, to: str) -> None:
        """A line in the outbox for a message that nobody is really sent."""
        self._line(alert, at_s, "", channel, to, to, detail=_NOT_SENT)

    def _tell_group(self, group: Resource, alert: Alert, at_s: float, context: dict[str, Any]) -> None:
        for kind, (channel, field) in _CHANNELS.items():
            for receiver in group.properties.get(kind, ()):
                self._line(
                    alert, at_s, group.name, channel, receiver["name"], str(receiver.get(field)), detail=_NOT_SENT
                )
        webhooks = group.properties.get("webhookReceivers", ())
        if not webhooks:
            return
        bodies = {common: orjson.dumps(payload(alert, context, common=common)) for common in (True, False)}
        for receiver in webhooks:
            url = str(receiver["serviceUri"])
            line = self._line(alert, at_s, group.name, "webhook", receiver["name"], shown(url), outcome="pending")
            # Off unless asked for, as the model's default is: azure-mgmt-monitor 7.0, WebhookReceiver.
            self.webhooks.send(url, bodies[receiver.get("useCommonAlertSchema") is True], line)

    def _line(
        self,
        alert: Alert,
        at_s: float,
        group: str,
        channel: str,
        receiver: str,
        to: str,
        *,
        outcome: str = "not sent",
        detail: str = "",
    ) -> Notification:
        return self.outbox.add(
            at_s=at_s,
            alert_id=alert.id,
            rule=alert.source.rule_name,
            condition=alert.condition,
            group=group,
            channel=channel,
            receiver=receiver[:200],
            to=to[:500],
            subject=subject(alert)[:500],
            outcome=outcome,
            detail=detail,
        )
