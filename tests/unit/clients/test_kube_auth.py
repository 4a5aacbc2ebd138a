"""Credentials: where they come from, and that they stay fresh."""

import asyncio
import base64
import ssl
from pathlib import Path
from typing import Self

import aiohttp
import pytest
from aiohttp import web

from peerdb_operator.errors import KubeError
from peerdb_operator.kube.credentials import REFUSED_SECONDS, REREAD_SECONDS, KubeAuth
from peerdb_operator.kube.kubeconfig import KubeAccess, read_access
from peerdb_operator.proxies import Proxies
from tests.harness.fakekube import FakeKube
from tests.unit.clients.kube_files import ANOTHER, LOOPBACK, a_credential, a_kubeconfig, a_plugin
from tests.unit.clients.peerdb_fakes import RawRequest, a_response, serving


class FakeTime:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class FakeTokens:
    """Credentials whose token a test changes, or takes away."""

    def __init__(self, server: str, token: str) -> None:
        self.server = server
        self.token: str | None = token
        self.reads = 0
        self.may_be_read = asyncio.Event()
        self.may_be_read.set()
        self.being_read = asyncio.Event()

    async def __call__(self) -> KubeAccess:
        self.reads += 1
        self.being_read.set()
        await self.may_be_read.wait()
        if self.token is None:
            raise KubeError("the token file is gone")
        return KubeAccess(
            server=self.server,
            authorization=f"Bearer {self.token}",
        )


class Scene:
    """A server that wants a token, credentials, and a session that asks."""

    def __init__(self, fake: FakeKube, tokens: FakeTokens, time: FakeTime, auth: KubeAuth) -> None:
        self.fake, self.tokens, self.time, self.auth = fake, tokens, time, auth

    async def ask(self) -> int:
        session = await self.auth.session(connections=1)
        async with session, session.get(f"{self.fake.address}/known") as reply:
            return reply.status

    @classmethod
    def play(cls) -> "_Playing":
        return _Playing("first")


class _Playing:
    def __init__(self, token: str) -> None:
        self._token = token

    async def __aenter__(self) -> Scene:
        fake = FakeKube(token=self._token, others={"/known": {}})
        self._runner = await fake.start()
        tokens, time = FakeTokens(fake.address, self._token), FakeTime()
        return Scene(fake, tokens, time, KubeAuth(tokens, await tokens(), time))

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()


def test_a_rotated_token_is_used_within_a_minute() -> None:
    async def main() -> None:
        async with Scene.play() as scene:
            assert await scene.ask() == 200
            scene.tokens.token = "second"
            scene.time.now = REREAD_SECONDS - 1
            assert await scene.ask() == 200
            assert scene.tokens.reads == 1
            scene.fake.token = "second"
            scene.time.now = REREAD_SECONDS
            assert await scene.ask() == 200

    asyncio.run(main())


def test_the_token_is_read_again_at_once_when_the_server_refused_it() -> None:
    async def main() -> None:
        async with Scene.play() as scene:
            scene.tokens.token = scene.fake.token = "second"
            assert await scene.ask() == 401
            assert await scene.ask() == 200
            assert scene.tokens.reads == 2

    asyncio.run(main())


def test_the_old_token_stays_in_use_when_the_new_one_cannot_be_read(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with Scene.play() as scene:
            scene.tokens.token = None
            scene.time.now = REREAD_SECONDS
            assert await scene.ask() == 200
            scene.time.now += REREAD_SECONDS - 1
            assert await scene.ask() == 200
            assert scene.tokens.reads == 2

    asyncio.run(main())
    assert "the token file is gone" in caplog.text
    assert "first" not in caplog.text


def test_one_read_serves_all_when_many_requests_find_the_token_old() -> None:
    async def main() -> None:
        async with Scene.play() as scene:
            scene.time.now = REREAD_SECONDS
            assert await asyncio.gather(*(scene.ask() for _ in range(10))) == [200] * 10
            assert scene.tokens.reads == 2

    asyncio.run(main())


def test_a_connection_error_is_raised_when_the_session_is_closed_while_credentials_are_read() -> None:
    async def main() -> None:
        async with Scene.play() as scene:
            session = await scene.auth.watch_session()
            scene.time.now = REREAD_SECONDS
            scene.tokens.may_be_read.clear()
            scene.tokens.being_read.clear()
            request = asyncio.create_task(session.get(f"{scene.fake.address}/known").__aenter__())
            await scene.tokens.being_read.wait()
            await session.close()
            scene.tokens.may_be_read.set()
            with pytest.raises(aiohttp.ClientConnectionError, match="closed while its credentials were read"):
                await request

    asyncio.run(main())


def test_secrets_are_not_shown_when_an_access_is_printed() -> None:
    access = asyncio.run(FakeTokens("https://api", "hunter2")())
    assert "hunter2" not in repr(access)
    assert "https://api" in repr(access)


def test_a_token_file_is_read_anew_each_time(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("one\n")
    kubeconfig = a_kubeconfig(tmp_path / "config", {"tokenFile": str(token)})
    assert asyncio.run(read_access(kubeconfig)).authorization == "Bearer one"
    token.write_text("two\n")
    assert asyncio.run(read_access(kubeconfig)).authorization == "Bearer two"


def test_basic_credentials_are_kept_as_they_are(tmp_path: Path) -> None:
    kubeconfig = a_kubeconfig(tmp_path / "config", {"username": "me", "password": "pw"})
    expected = "Basic " + base64.b64encode(b"me:pw").decode()
    assert asyncio.run(read_access(kubeconfig)).authorization == expected


def test_tls_settings_come_from_the_kubeconfig(tmp_path: Path) -> None:
    cluster: dict[str, object] = {
        "insecure-skip-tls-verify": True,
        "tls-server-name": "api.example.com",
        "proxy-url": "http://proxy:3128",
    }
    access = asyncio.run(read_access(a_kubeconfig(tmp_path / "config", {"token": "abc"}, cluster)))
    assert access.verify_tls is False
    assert access.tls_server_name == "api.example.com"
    assert access.proxy == "http://proxy:3128"
    assert access.tls().check_hostname is False


def test_the_error_names_the_server_when_its_authority_is_no_certificate(tmp_path: Path) -> None:
    authority = tmp_path / "ca.crt"
    authority.write_text("nonsense")
    cluster: dict[str, object] = {"certificate-authority": str(authority)}
    access = asyncio.run(read_access(a_kubeconfig(tmp_path / "config", {"token": "abc"}, cluster)))
    with pytest.raises(KubeError, match=r"certificates for https://127.0.0.1:6443 cannot be used"):
        access.tls()


@pytest.mark.parametrize(
    "content", ["", "a: [", "just text", "{}", "contexts: 3", '{"current-context": "x", "contexts": []}']
)
def test_a_sentence_names_the_file_when_a_kubeconfig_cannot_be_used(tmp_path: Path, content: str) -> None:
    path = tmp_path / "broken"
    path.write_text(content)
    with pytest.raises(KubeError, match=r"kubeconfig .*broken cannot be used") as caught:
        asyncio.run(read_access(str(path)))
    assert "\n" not in str(caught.value)


def test_a_sentence_says_what_to_set_when_the_kubeconfig_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(KubeError, match=r"does not exist; set --kubeconfig \(KUBECONFIG\)"):
        asyncio.run(read_access(str(tmp_path / "nope")))


def access_to(server: str, proxy: str | None = None) -> KubeAccess:
    return KubeAccess(
        server=server,
        authorization=None,
        proxy=proxy,
    )


async def asked(access: KubeAccess, proxies: Proxies | None = None) -> None:
    async def read() -> KubeAccess:
        return access

    session = await KubeAuth(read, access, proxies=proxies).session(connections=1)
    async with session, session.get(f"{access.server}/version") as reply:
        assert reply.status == 200


def test_the_proxy_of_the_environment_leads_to_the_api_server_unless_it_is_exempt() -> None:
    async def main() -> list[RawRequest]:
        async with serving(lambda _: a_response("200 OK")) as proxy, serving(lambda _: a_response("200 OK")) as server:
            await asked(access_to("http://kube.test:6443"), Proxies(http=proxy.base))
            await asked(access_to(server.base), Proxies(http=proxy.base, no_proxy="127.0.0.0/8"))
            assert len(server.seen) == 1
            return proxy.seen

    (request,) = asyncio.run(main())

    assert request.target == "http://kube.test:6443/version"


def test_the_proxy_of_the_kubeconfig_wins_over_the_environment() -> None:
    async def main() -> int:
        async with serving(lambda _: a_response("200 OK")) as proxy:
            await asked(access_to("http://kube.test:6443", proxy.base), Proxies(no_proxy="*"))
            return len(proxy.seen)

    assert asyncio.run(main()) == 1


@pytest.mark.parametrize(
    ("own", "environment", "words"),
    [("socks5://p:1080", "", "proxy-url is no address"), (None, "socks5://p:1080", "HTTP_PROXY is no address")],
)
def test_a_proxy_of_no_use_stops_the_start(own: str | None, environment: str, words: str) -> None:
    with pytest.raises(KubeError, match=f"http://kube.test cannot be reached: {words} of an HTTP proxy"):
        asyncio.run(asked(access_to("http://kube.test", own), Proxies(http=environment)))


def test_neither_a_netrc_file_nor_a_later_environment_has_a_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")

    async def main() -> RawRequest:
        async with serving(lambda _: a_response("200 OK")) as server:
            await asked(access_to(server.base))
            (request,) = server.seen
            return request

    assert "authorization" not in asyncio.run(main()).headers


# -- certificates ----------------------------------------------------------------------------------------------------


class TlsScene:
    """An API server that asks for client certificates, the files of a kubeconfig, and one session that stays open."""

    def __init__(self, folder: Path, user: dict[str, object]) -> None:
        self.folder, self.user, self.time = folder, user, FakeTime()
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(LOOPBACK)
        self.tls.verify_mode = ssl.CERT_OPTIONAL
        for client in (LOOPBACK, ANOTHER):
            self.tls.load_verify_locations(client)
        (folder / "ca.crt").write_bytes(LOOPBACK.read_bytes())

    async def __aenter__(self) -> Self:
        async def answer(request: web.Request) -> web.Response:
            return web.json_response(
                {"authorization": request.headers.get("Authorization"), "client": subject(request)}
            )

        app = web.Application()
        app.router.add_get("/version", answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self.tls)
        await site.start()
        self.address = f"https://127.0.0.1:{self._runner.addresses[0][1]}"
        cluster: dict[str, object] = {"server": self.address, "certificate-authority": str(self.folder / "ca.crt")}
        kubeconfig = a_kubeconfig(self.folder / "config", self.user, cluster)

        async def read() -> KubeAccess:
            return await read_access(kubeconfig)

        self.auth = KubeAuth(read, await read(), self.time)
        self.session = await self.auth.session(connections=2)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()
        await self._runner.cleanup()

    async def ask(self, session: aiohttp.ClientSession | None = None) -> dict[str, str | None]:
        async with (session or self.session).get(f"{self.address}/version") as reply:
            said: dict[str, str | None] = await reply.json()
            return said

    async def client(self) -> str | None:
        return (await self.ask())["client"]

    def later(self) -> None:
        self.time.now += REREAD_SECONDS


def subject(request: web.Request) -> str | None:
    """The common name in the certificate of a client; None without one."""
    certificate = request.transport.get_extra_info("peercert") if request.transport else None
    return (
        next((value for ((key, value),) in certificate["subject"] if key == "commonName"), None)
        if certificate
        else None
    )


ONE, OTHER = "loopback of the tests", "another loopback of the tests"


def test_a_renewed_client_certificate_is_presented_within_a_minute(tmp_path: Path) -> None:
    async def main() -> None:
        for name in ("tls.crt", "tls.key"):
            (tmp_path / name).write_bytes(LOOPBACK.read_bytes())
        user: dict[str, object] = {"client-certificate": "tls.crt", "client-key": "tls.key"}
        async with TlsScene(tmp_path, user) as scene:
            assert await scene.client() == ONE
            for name in ("tls.crt", "tls.key"):
                (tmp_path / name).write_bytes(ANOTHER.read_bytes())
            assert await scene.client() == ONE
            scene.later()
            assert await scene.client() == OTHER
            async with await scene.auth.watch_session() as login:
                assert (await scene.ask(login))["client"] == OTHER

    asyncio.run(main())


def test_the_old_certificate_stays_in_use_while_the_new_one_has_no_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        for name in ("tls.crt", "tls.key"):
            (tmp_path / name).write_bytes(LOOPBACK.read_bytes())
        user: dict[str, object] = {"client-certificate": "tls.crt", "client-key": "tls.key"}
        async with TlsScene(tmp_path, user) as scene:
            for name in ("tls.crt", "tls.key"):
                assert await scene.client() == ONE
                (tmp_path / name).write_bytes(ANOTHER.read_bytes())
                scene.later()
            assert await scene.client() == OTHER
            (tmp_path / "tls.key").unlink()
            scene.later()
            assert await scene.client() == OTHER

    asyncio.run(main())
    assert "Keeping the Kubernetes credentials read before: The certificates for https://127.0.0.1" in caplog.text


def test_a_renewed_authority_is_trusted_within_a_minute_and_the_old_one_is_not(tmp_path: Path) -> None:
    async def main() -> None:
        async with TlsScene(tmp_path, {"token": "abc"}) as scene:
            assert await scene.client() is None
            scene.tls.load_cert_chain(ANOTHER)
            (tmp_path / "ca.crt").write_bytes(ANOTHER.read_bytes())
            scene.later()
            assert await scene.ask() == {"authorization": "Bearer abc", "client": None}
            scene.tls.load_cert_chain(LOOPBACK)
            async with await scene.auth.watch_session() as fresh:
                with pytest.raises(aiohttp.ClientConnectorCertificateError):
                    await scene.ask(fresh)

    asyncio.run(main())


def test_a_plugin_renews_a_certificate_and_its_failure_takes_nothing_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def given(file: Path) -> dict[str, object]:
        return a_credential(clientCertificateData=file.read_text(), clientKeyData=file.read_text())

    async def main() -> None:
        async with TlsScene(tmp_path, {"exec": a_plugin(tmp_path, given(LOOPBACK))}) as scene:
            assert await scene.client() == ONE
            a_plugin(tmp_path, given(ANOTHER))
            scene.later()
            assert await scene.client() == OTHER
            a_plugin(tmp_path, script="echo no route to the issuer >&2; exit 1")
            for _ in range(3):
                scene.later()
                assert await scene.client() == OTHER
            a_plugin(tmp_path, given(LOOPBACK))
            scene.later()
            assert await scene.client() == ONE

    asyncio.run(main())
    assert [record.levelname for record in caplog.records if "no route to the issuer" in record.message] == ["WARNING"]


def test_credentials_are_not_read_more_than_once_a_second_when_the_server_refuses_them() -> None:
    async def main() -> None:
        async with Scene.play() as scene:
            scene.fake.token = "another"
            assert [await scene.ask() for _ in range(10)] == [401] * 10
            assert scene.tokens.reads == 2
            scene.time.now += REFUSED_SECONDS
            assert await scene.ask() == 401
            assert scene.tokens.reads == 3

    asyncio.run(main())
