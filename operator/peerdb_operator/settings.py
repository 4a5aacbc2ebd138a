"""Everything that can be set, in one frozen object that is read once.

Each field is one flag and one environment variable; a flag wins. Names that other tools
use (``PEERDB_URL``, ``KUBECONFIG``) have no prefix, all others begin with ``PEERDB_OPERATOR_``. Secrets have no flag,
because everybody on a machine can read a command line.
"""

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

ENV_PREFIX = "PEERDB_OPERATOR_"
_DNS_LABEL = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
_CLUSTER_ID = r"^[A-Za-z0-9]([-A-Za-z0-9._]{0,61}[A-Za-z0-9])?$"
_QUOTED_VALUE_LENGTH = 80
_MAY_HOLD_A_PASSWORD = frozenset({"peerdb_url", "peerdb_proxy"})

_SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT)(_|$)|_PORT(_\d+_(TCP|UDP|SCTP)|$)")
"""What the kubelet sets in every pod for a Service named peerdb-operator."""

Seconds = Annotated[float, Field(gt=0, le=7 * 86400, allow_inf_nan=False)]
Namespace = Annotated[str, Field(pattern=_DNS_LABEL)]


class NamespaceDeletion(StrEnum):
    """What happens to a mirror whose Mirror is deleted together with its namespace."""

    RELEASE = "Release"
    DROP = "Drop"


class LogFormat(StrEnum):
    """The shape of a log line."""

    JSON = "json"
    TEXT = "text"


class LogLevel(StrEnum):
    """The least important line that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class SettingsError(Exception):
    """One or more settings are wrong. ``sentences`` name flag, variable, problem and way out, one sentence each."""

    def __init__(self, sentences: list[str]) -> None:
        super().__init__(" ".join(sentences))
        self.sentences = sentences


class Settings(BaseSettings):
    """All settings. Durations are in seconds."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_ignore_empty=True, frozen=True, extra="forbid", hide_input_in_errors=True
    )

    peerdb_url: str = Field(
        validation_alias="peerdb_url",
        description="Base address under which PeerDB's /v1/... lives: http://flow-api:8113, or a UI's with /api "
        "behind it: http://peerdb-ui:3000/api.",
    )
    peerdb_password: SecretStr | None = Field(
        None,
        validation_alias="peerdb_password",
        description="Password of the PeerDB UI; a gateway needs none. Not together with PEERDB_PASSWORD_FILE.",
    )
    peerdb_password_file: Path | None = Field(
        None, validation_alias="peerdb_password_file", description="File with the password; read again when it changes."
    )
    peerdb_ca_file: Path | None = Field(
        None, validation_alias="peerdb_ca_file", description="PEM file with the authorities of PeerDB's certificate."
    )
    peerdb_proxy: str | None = Field(
        None,
        validation_alias="peerdb_proxy",
        description="HTTP proxy to PeerDB; without it HTTPS_PROXY, HTTP_PROXY and NO_PROXY decide, as they do for the "
        "API server.",
    )
    kubeconfig: str | None = Field(
        None,
        validation_alias="kubeconfig",
        description="kubeconfig file to use; without it the service account of the pod is used. Tokens, certificates "
        "and exec plugins are read anew every minute.",
    )
    pod_name: str | None = Field(
        None,
        validation_alias="pod_name",
        description="Name of the operator's own pod. With its namespace and uid, an outage of PeerDB is an Event of "
        "the pod; without them only the log reports it.",
    )
    pod_namespace: Namespace | None = Field(
        None, validation_alias="pod_namespace", description="Namespace of the operator's own pod."
    )
    pod_uid: str | None = Field(None, validation_alias="pod_uid", description="uid of the operator's own pod.")
    namespaces: Annotated[tuple[Namespace, ...], NoDecode] = Field(
        (), description="Namespaces to watch, separated by commas; none means all."
    )
    cluster_id: str | None = Field(
        None,
        pattern=_CLUSTER_ID,
        description="How this cluster signs the mirrors it owns; without it the uid of the namespace kube-system.",
    )
    concurrency: int = Field(20, ge=1, le=500, description="Reconciles of Mirrors that may run at once.")
    long_concurrency: int = Field(4, ge=1, le=100, description="More of them, for drops that PeerDB answers late.")
    precheck_concurrency: int = Field(
        20, ge=1, le=500, description="Prechecks of new tables that may run at once, besides the reconciles."
    )
    tick_seconds: Seconds = Field(10.0, description="Time between two reads of the list of mirrors.")
    pausing_look_seconds: Seconds = Field(
        0.5, ge=0.1, description="Time between two observations of a mirror that is pausing or that we have paused."
    )
    transition_look_seconds: Seconds = Field(
        1.0, ge=0.1, description="Time until a mirror in another transition is first observed; grows to the tick."
    )
    config_sample_seconds: Seconds = Field(
        300.0, description="Time between two full observations of a settled mirror, give or take a fifth."
    )
    anti_entropy_seconds: Seconds = Field(
        300.0, description="Time between two LISTs that catch what the watch missed, give or take a fifth."
    )
    outage_quiet_seconds: Seconds = Field(30.0, description="PeerDB may be away this long before a status says so.")
    outage_unknown_seconds: Seconds = Field(300.0, description="The same until Ready becomes Unknown.")
    deadline_pausing_seconds: Seconds = Field(300.0, description="PAUSING longer than this is stalled.")
    deadline_setup_seconds: Seconds = Field(600.0, description="SETUP longer than this is stalled.")
    deadline_modifying_seconds: Seconds = Field(600.0, description="MODIFYING longer than this is stalled.")
    deadline_terminating_seconds: Seconds = Field(900.0, description="TERMINATING or RESYNC this long is stalled.")
    deadline_snapshot_seconds: Seconds = Field(1800.0, description="SNAPSHOT without progress this long is stalled.")
    phase_quiet_seconds: Seconds = Field(2.0, description="Phases of an edit shorter than this are not written down.")
    progress_write_seconds: Seconds = Field(30.0, description="Least time between two status writes of mere progress.")
    namespace_deletion: NamespaceDeletion = Field(
        NamespaceDeletion.RELEASE,
        description="What deleting a whole namespace does to its mirrors: Release keeps them, Drop drops them.",
    )
    brake_drops: int = Field(5, ge=0, description="Mirrors that may be dropped at once; 0 drops none.")
    brake_seconds: Seconds = Field(600.0, description="Time in which as many more may be dropped, evenly spread.")
    drain_seconds: float = Field(
        5.0, ge=0, le=600, description="Time that running reconciles get to end when the operator stops."
    )
    health_host: str | None = Field(None, description="Address for /healthz and /readyz; without it all addresses.")
    health_port: int = Field(8080, ge=0, le=65535, description="Port for /healthz and /readyz; 0 serves none.")
    metrics_host: str | None = Field(None, description="Address for /metrics; without it all addresses.")
    metrics_port: int = Field(9090, ge=0, le=65535, description="Port for /metrics; 0 serves none.")
    tracing: bool = Field(
        False,
        description="Send an OpenTelemetry trace of each reconcile that sends something where OTEL_* variables say.",
    )
    log_format: LogFormat = Field(LogFormat.JSON, description="json or text.")
    log_level: LogLevel = Field(LogLevel.INFO, description="debug, info, warning or error.")

    @field_validator("peerdb_url")
    @classmethod
    def _base_address(cls, value: str) -> str:
        parts = urlsplit(value.strip())
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("it must look like http://flow-api:8113 or https://peerdb.example.com/api")
        if parts.username is not None or parts.password is not None:
            raise ValueError("leave the password out of the address and set PEERDB_PASSWORD or PEERDB_PASSWORD_FILE")
        if parts.query or parts.fragment:
            raise ValueError("leave out everything from the ? or # on")
        if parts.port == 0:
            raise ValueError("port 0 cannot be connected to")
        base = value.strip().rstrip("/")
        if base.endswith("/v1"):
            raise ValueError(f"leave out the /v1 at the end: the base is {base.removesuffix('/v1')}")
        return base

    @field_validator("peerdb_proxy")
    @classmethod
    def _proxy_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value.strip())
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("it must look like http://proxy.example.com:3128")
        if parts.username is not None or parts.password is not None:
            raise ValueError("leave the password out of the address: a proxy that wants one goes into HTTPS_PROXY")
        return value.strip()

    @field_validator("peerdb_password_file", "peerdb_ca_file")
    @classmethod
    def _readable(cls, value: Path | None) -> Path | None:
        if value is not None:
            try:
                value.open("rb").close()
            except OSError as error:
                raise ValueError(f"the file cannot be read: {error.strerror}") from error
        return value

    @field_validator("namespaces", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(dict.fromkeys(part for part in value.replace(",", " ").split() if part))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.peerdb_password is not None and self.peerdb_password_file is not None:
            raise ValueError("PEERDB_PASSWORD and --peerdb-password-file (PEERDB_PASSWORD_FILE) exclude each other.")
        if self.outage_unknown_seconds < self.outage_quiet_seconds:
            raise ValueError(
                "--outage-unknown-seconds (PEERDB_OPERATOR_OUTAGE_UNKNOWN_SECONDS) must not be less than "
                "--outage-quiet-seconds (PEERDB_OPERATOR_OUTAGE_QUIET_SECONDS)."
            )
        return self


def is_secret(field: FieldInfo) -> bool:
    """Whether a field may be set by environment only and never be shown."""
    return "SecretStr" in str(field.annotation)


def flag_of(name: str) -> str:
    """``tick_seconds`` -> ``--tick-seconds``."""
    return "--" + name.replace("_", "-")


def variable_of(name: str) -> str:
    """``tick_seconds`` -> ``PEERDB_OPERATOR_TICK_SECONDS``, ``peerdb_url`` -> ``PEERDB_URL``."""
    prefix = "" if Settings.model_fields[name].validation_alias else ENV_PREFIX
    return prefix + name.upper()


def load_settings(flags: Mapping[str, str]) -> Settings:
    """Settings from ``flags`` (field name -> text as typed), else the environment, else the defaults.

    Raises SettingsError.
    """
    unknown = _unknown_variables(os.environ)
    if unknown:
        raise SettingsError(unknown)
    try:
        return Settings(**dict[str, Any](flags))
    except ValidationError as error:
        raise SettingsError([_sentence(dict(each)) for each in error.errors(include_url=False)]) from None


def _unknown_variables(environment: Iterable[str]) -> list[str]:
    """Unknown variables are refused: a misspelt PEERDB_OPERATOR_NAMESPACES would watch the whole cluster."""
    known = {variable_of(name) for name in Settings.model_fields}
    sentences = []
    for variable in sorted(environment):
        if variable.startswith(ENV_PREFIX) and variable not in known and not _SERVICE_LINK.search(variable):
            near = difflib.get_close_matches(variable, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "peerdb-operator run --help lists all of them."
            sentences.append(f"{variable} is not a setting: {hint}")
    return sentences


def _sentence(error: dict[str, Any]) -> str:
    location = error["loc"]
    problem = str(error["msg"]).removeprefix("Value error, ")
    if not location:
        return problem
    name = str(location[0])
    field = Settings.model_fields[name]
    where = variable_of(name) if is_secret(field) else f"{flag_of(name)} ({variable_of(name)})"
    if error["type"] == "missing":
        return f"{where} is not set: {field.description}"
    if error["type"] == "string_pattern_mismatch":
        problem = f"this is not a legal name. {field.description}".removesuffix(".")
    shown = "" if is_secret(field) or name in _MAY_HOLD_A_PASSWORD else f" {_quoted(error['input'])}:"
    return f"{where}:{shown} {problem[:1].lower()}{problem[1:]}."


def _quoted(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= _QUOTED_VALUE_LENGTH else text[:_QUOTED_VALUE_LENGTH] + "…")
