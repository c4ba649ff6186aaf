"""https under an authority made on the spot: who trusts it, and where its certificate lies."""

import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from azure.mgmt.applicationinsights.models import ApplicationInsightsComponent
from openai import APIConnectionError, AzureOpenAI

import labkit
from labkit import clients, connection
from labkit.localazure import LocalAzure
from labkit.localazure.tls import CertificateFileError

from ..asking import VERSION, account_of, deploy
from ..conftest import deployment


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[LocalAzure]:
    """A local Azure that speaks https."""
    with LocalAzure(ca_file=tmp_path / "ca.pem") as running:
        yield running


@pytest.fixture
def trusting(azure: LocalAzure, monkeypatch: pytest.MonkeyPatch) -> LocalAzure:
    """The same, with its environment set in this process."""
    for name, value in azure.environment().items():
        monkeypatch.setenv(name, value)
    return azure


def test_the_openai_client_trusts_the_authority(trusting: LocalAzure) -> None:
    """As it comes, with SSL_CERT_FILE in its environment."""
    deploy(trusting.azure)
    key = account_of(trusting.azure).keys[0]
    with AzureOpenAI(azure_endpoint=trusting.url, api_key=key, api_version=VERSION, max_retries=0) as client:
        assert client.models.list().data


def test_nobody_else_does(azure: LocalAzure, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the certificate a client refuses to talk, and plain http is not answered."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    options: Any = {"api_key": "k", "api_version": VERSION, "max_retries": 0}
    with AzureOpenAI(azure_endpoint=azure.url, **options) as client, pytest.raises(APIConnectionError) as refused:
        client.models.list()
    assert isinstance(refused.value.__cause__, httpx2.ConnectError)
    with pytest.raises(OSError, match="reset|closed|refused|EOF"):
        urllib.request.urlopen(azure.url.replace("https:", "http:") + "/labkit", timeout=5)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_both_names_of_this_machine_are_vouched_for(azure: LocalAzure, tmp_path: Path, host: str) -> None:
    """The certificate holds for each, under today's strict rules."""
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    url = azure.url.replace("127.0.0.1", host)
    with urllib.request.urlopen(f"{url}/labkit", timeout=5, context=context) as reply:
        assert reply.status == 200


def test_links_in_answers_are_https(trusting: LocalAzure) -> None:
    """labkit's clients and the SDKs' follow them: the account's endpoint, a long-running creation's status."""
    here = labkit.connect()
    try:
        account = clients.cognitive_services().accounts.get(here.resource_group, here.account)
        assert account.properties.endpoint == f"{trusting.url}/"
        body: Any = deployment()
        begun = clients.cognitive_services().deployments.begin_create_or_update(
            here.resource_group, here.account, "made", body, polling_interval=0
        )
        assert begun.result().name == "made"
        assert clients.openai().models.list().data
        wanted = ApplicationInsightsComponent(location=here.location, kind="web", application_type="web")
        component = clients.application_insights().components.create_or_update(here.resource_group, "appi", wanted)
        answer = clients.logs().query_resource(component.id, "requests | count", timespan=timedelta(hours=1))
        assert [list(row) for row in answer.tables[0].rows] == [[0]]
    finally:
        connection.disconnect()


def test_the_key_is_nowhere_on_disk(azure: LocalAzure, tmp_path: Path) -> None:
    """The file holds one certificate, which anybody may read."""
    assert [path.name for path in tmp_path.iterdir()] == ["ca.pem"]
    written = (tmp_path / "ca.pem").read_text("ascii")
    assert written.count("BEGIN CERTIFICATE") == 1
    assert "PRIVATE" not in written


def test_an_earlier_certificate_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    """A file that holds anything but a local Azure's certificate is left alone."""
    for _ in range(2):
        LocalAzure(ca_file=tmp_path / "ca.pem")
    precious = tmp_path / "thesis.pem"
    precious.write_text("years of work", "utf-8")
    with pytest.raises(CertificateFileError, match=r"thesis\.pem is not a certificate of a local Azure.*--ca"):
        LocalAzure(ca_file=precious)
    assert precious.read_text("utf-8") == "years of work"
    with pytest.raises(OSError, match="No such file"):
        LocalAzure(ca_file=tmp_path / "none" / "ca.pem")
