"""One reading of the credentials for the API server, from a kubeconfig or from the pod's service account.

Exec plugins are run here: the ``kubernetes`` package logs a plugin's failure and goes on without credentials, waits for
it without end, and searches for a relative command in the working directory instead of the kubeconfig's.
"""

import asyncio
import json
import os
import ssl
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peerdb_operator.errors import KubeError
from peerdb_operator.kube.package import (
    ConfigNode,
    Configuration,
    ExecProvider,
    KubeConfigLoader,
    KubeConfigMerger,
    loaders,
)
from peerdb_operator.peerdb.redaction import redacted

PLUGIN_SECONDS = 30.0

_PROBLEM_LENGTH = 200


@dataclass(frozen=True, slots=True)
class KubeAccess:
    """One reading of the credentials. ``authorization`` is the whole header value or None; never log it.

    ``authority``, ``certificate`` and ``key`` are PEM: the contents of files as they were, so that a later reading
    shows whether they have been renewed.
    """

    server: str
    authorization: str | None
    verify_tls: bool = True
    tls_server_name: str | None = None
    proxy: str | None = None
    authority: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = None

    def __repr__(self) -> str:
        return f"KubeAccess(server={self.server!r})"

    def has_tls_of(self, other: "KubeAccess") -> bool:
        """Whether a TLS context of the other reading serves this one too."""
        mine = (self.authority, self.certificate, self.key, self.verify_tls)
        return mine == (other.authority, other.certificate, other.key, other.verify_tls)

    def tls(self) -> ssl.SSLContext:
        """A fresh TLS context. Raises KubeError if the certificates cannot be used."""
        try:
            if self.authority is not None and not self.authority.strip():
                raise ssl.SSLError("the certificate authority is empty")
            authority = None if self.authority is None else self.authority.decode("ascii", "ignore")
            context = _unverified() if authority is None and not self.verify_tls else _verified(authority)
            if self.certificate is not None:
                _present(context, self.certificate, self.key)
        except OSError as error:  # SSLError is one
            raise KubeError(f"The certificates for {self.server} cannot be used: {error}.") from error
        # Python 3.13 began to refuse authorities without key identifiers, as many clusters have them.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if not self.verify_tls:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def _verified(authority: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority)


def _unverified() -> ssl.SSLContext:
    """Without the system's authorities, which cost 2 MiB."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _present(context: ssl.SSLContext, certificate: bytes, key: bytes | None) -> None:
    """OpenSSL takes a certificate and its key from files only."""
    with tempfile.TemporaryDirectory() as folder:  # readable by its owner alone
        for name, content in (("certificate", certificate), ("key", key or certificate)):
            Path(folder, name).write_bytes(content)
        context.load_cert_chain(Path(folder, "certificate"), Path(folder, "key"))


async def read_access(kubeconfig: str | None, *, plugin_seconds: float = PLUGIN_SECONDS) -> KubeAccess:
    """Read the credentials once. Raises KubeError with a sentence for the user."""
    configuration = Configuration()
    try:
        if kubeconfig is None:
            load: Any = loaders.load_incluster_config  # the package's loaders are untyped
            load(client_configuration=configuration, try_refresh_token=False)
            return _access(configuration, None)
        _require_a_file(kubeconfig)
        make: Any = _Loader
        loader = make(KubeConfigMerger(kubeconfig).config, config_base_path=None)
        loader.plugin_seconds = plugin_seconds
        await loader.load_and_set(configuration)
        return _access(configuration, loader)
    except KubeError:
        raise
    except Exception as error:
        # The loader walks the YAML without a schema: a malformed file comes out as whatever it stumbles over.
        raise KubeError(_sentence(kubeconfig, error)) from error


class _Loader(KubeConfigLoader):
    """The package's loader, which fails when an exec plugin fails."""

    plugin_seconds = PLUGIN_SECONDS
    certificate: bytes | None = None
    key: bytes | None = None

    async def load_from_exec_plugin(self) -> bool:
        """What the package calls where the user of the context has a plugin."""
        user: Any = self._user
        given = await _ask_plugin(user["exec"], Path(user.path).parent, self.plugin_seconds)
        if given.get("token"):
            self.token = f"Bearer {given['token']}"
        if given.get("clientCertificateData"):
            self.certificate = str(given["clientCertificateData"]).encode()
            self.key = str(given["clientKeyData"]).encode() if given.get("clientKeyData") else None
            self.cert_file = self.key_file = None  # the plugin's come first
        if not given.get("token") and self.certificate is None:
            raise loaders.ConfigException("exec: the plugin gave neither token nor clientCertificateData")
        return True

    def expects_token(self) -> bool:
        """Whether the user's token comes from a file, which may be empty while it is written."""
        return self._user is not None and "tokenFile" in self._user


def _access(configuration: Configuration, loader: _Loader | None) -> KubeAccess:
    authorization = _header(configuration.api_key.get("BearerToken"))
    if authorization is None and (loader is None or loader.expects_token()):
        raise loaders.ConfigException("the token file is empty")
    given = None if loader is None else loader.certificate
    return KubeAccess(
        server=configuration.host,
        authorization=authorization,
        verify_tls=configuration.verify_ssl,
        tls_server_name=configuration.tls_server_name,
        proxy=configuration.proxy,
        authority=_content(configuration.ssl_ca_cert),
        certificate=given or _content(configuration.cert_file),
        key=loader.key if given and loader is not None else _content(configuration.key_file),
    )


async def _ask_plugin(config: ConfigNode, folder: Path, seconds: float) -> dict[str, Any]:
    """The credential that an exec plugin prints (client.authentication.k8s.io); raises what says why there is none."""
    provider = ExecProvider(config)
    command, *arguments = provider.args
    asked = {"apiVersion": provider.api_version, "kind": "ExecCredential", "spec": {"interactive": False}}
    try:
        process = await asyncio.create_subprocess_exec(
            str(folder / command) if os.sep in command else command,
            *arguments,
            env={**provider.env, "KUBERNETES_EXEC_INFO": json.dumps(asked)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        hint = config.safe_get("installHint")
        why = f"exec: {command} cannot be started ({error.strerror})"
        raise loaders.ConfigException(f"{why}: {hint}" if hint else why) from error
    try:
        async with asyncio.timeout(seconds):
            printed, complaint = await process.communicate()
    except TimeoutError as error:
        raise loaders.ConfigException(f"exec: {command} did not end within {seconds:g} s") from error
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode != 0:
        said = redacted(complaint.decode(errors="replace")).strip()
        raise loaders.ConfigException(f"exec: {command} ended with {process.returncode}: {said}")
    return _credential(command, provider.api_version, printed)


def _credential(command: str, version: str, printed: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(printed)
    except ValueError:
        answer = None
    status = answer.get("status") if isinstance(answer, dict) else None
    if not isinstance(status, dict):
        raise loaders.ConfigException(f"exec: {command} did not print an ExecCredential with a status")
    if answer.get("apiVersion") != version:
        raise loaders.ConfigException(f"exec: {command} speaks {answer.get('apiVersion')}, not {version}")
    return status


def _content(file: str | None) -> bytes | None:
    return None if file is None else Path(file).read_bytes()


def _require_a_file(kubeconfig: str) -> None:
    if not any(Path(part).expanduser().is_file() for part in kubeconfig.split(os.pathsep) if part):
        raise KubeError(f"The kubeconfig {kubeconfig} does not exist; set --kubeconfig (KUBECONFIG).")


def _header(value: str | None) -> str | None:
    scheme, _, secret = (value or "").strip().partition(" ")
    return f"{scheme.capitalize()} {secret.strip()}" if secret.strip() else None


def _sentence(kubeconfig: str | None, error: Exception) -> str:
    kind = "" if isinstance(error, loaders.ConfigException) else f"{type(error).__name__}: "
    problem = kind + " ".join(str(error).split())[:_PROBLEM_LENGTH].rstrip(".")
    if kubeconfig is None:
        return f"This is no pod with a service account ({problem}); set --kubeconfig (KUBECONFIG)."
    return f"The kubeconfig {kubeconfig} cannot be used: {problem}."
