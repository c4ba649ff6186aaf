"""What a cloud tells of itself before anybody has signed in: where its faces are and for whom its tokens are made."""

from labkit.localazure.errors import method_not_allowed
from labkit.localazure.identity import MANAGEMENT, TENANT_ID
from labkit.localazure.wire import Reply, Request, json_reply

PATH = "/metadata/endpoints"
_NAME = "LocalAzure"


def answer(request: Request) -> Reply:
    """The document that ``az cloud register`` reads at ``/metadata/endpoints`` (no token, any api-version).

    The shape: Azure/azure-cli#29283 (2024-07), and azure-cli 2.91.0 (azure/cli/core/cloud.py, ``_arm_to_cli_mapper``),
    which reads it. What the local Azure does not have (storage, key vaults, SQL) has no suffix here.
    """
    request.operation = "cloud.read"
    if request.method != "GET":
        raise method_not_allowed(request.method, request.path)
    here = f"{request.base_url}/"
    return json_reply(
        {
            "name": _NAME,
            "portal": here,
            "resourceManager": here,
            "authentication": {
                "loginEndpoint": here,
                "audiences": list(MANAGEMENT),
                "tenant": TENANT_ID,
                "identityProvider": "AAD",
            },
            "appInsightsResourceId": "https://api.applicationinsights.io",
            "logAnalyticsResourceId": "https://api.loganalytics.io",
            "suffixes": {},
        }
    )
