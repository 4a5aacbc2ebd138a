"""Which proxy an address is reached through: the cases of Go's httpproxy, which kubectl follows."""

import pytest

from peerdb_operator.proxies import Proxies, checked, without_password

PROXY = "http://proxy.example.com:3128"


def test_without_variables_there_is_no_proxy() -> None:
    assert Proxies.of({}).to("http://flow-api:8113") is None
    assert Proxies().to("https://peerdb.example.com/api") is None


@pytest.mark.parametrize(
    ("environment", "http", "https"),
    [
        ({"HTTP_PROXY": PROXY}, PROXY, None),
        ({"HTTPS_PROXY": PROXY}, None, PROXY),
        ({"https_proxy": PROXY}, None, PROXY),
        ({"HTTPS_PROXY": PROXY, "https_proxy": "http://other:1"}, None, PROXY),
        ({"HTTPS_PROXY": "", "https_proxy": PROXY}, None, PROXY),
        ({"ALL_PROXY": PROXY, "all_proxy": PROXY}, None, None),
        ({"HTTPS_PROXY": "proxy.example.com:3128"}, None, PROXY),
    ],
)
def test_each_scheme_has_its_variable(environment: dict[str, str], http: str | None, https: str | None) -> None:
    proxies = Proxies.of(environment)

    assert proxies.to("http://flow-api:8113") == http
    assert proxies.to("https://peerdb.example.com/api") == https


DIRECT = [
    # networks
    ("10.0.0.0/8", "https://10.96.0.1"),
    ("10.96.0.1/8", "https://10.200.0.1:6443"),
    ("192.168.0.0/16,10.0.0.0/8", "http://10.1.2.3:8113"),
    ("fd00::/8", "https://[fd00::1]:443"),
    ("10.0.0.0/8", "http://[::ffff:10.1.2.3]:8113"),
    # addresses
    ("10.96.0.1", "https://10.96.0.1"),
    ("10.96.0.1:443", "https://10.96.0.1"),
    ("fd00::1", "https://[fd00::1]"),
    ("[fd00::1]:443", "https://[fd00::1]"),
    # domains
    ("example.com", "https://example.com"),
    ("example.com", "https://peerdb.example.com"),
    (".example.com", "https://peerdb.example.com"),
    ("*.example.com", "https://peerdb.example.com"),
    ("EXAMPLE.com", "https://Peerdb.Example.COM"),
    (" one.org , example.com ", "https://example.com"),
    ("flow-api", "http://flow-api:8113"),
    (".svc,.cluster.local", "http://flow-api.peerdb.svc:8113"),
    # ports
    ("example.com:443", "https://example.com"),
    ("example.com:80", "http://example.com"),
    (".example.com:8443", "https://a.example.com:8443"),
    # everything
    ("*", "https://peerdb.example.com"),
    ("one.org,*", "http://flow-api:8113"),
    # this machine, whatever NO_PROXY says
    ("", "https://localhost:6443"),
    ("", "https://127.0.0.1:6443"),
    ("", "https://127.8.8.8"),
    ("", "http://[::1]:8113"),
]
PROXIED = [
    ("", "https://peerdb.example.com"),
    (",, ,", "https://peerdb.example.com"),
    ("10.0.0.0/8", "https://11.0.0.1"),
    ("10.0.0.0/8", "https://peerdb.example.com"),
    ("10.0.0.0/33", "https://10.0.0.1"),
    ("10.0.0.0/255.0.0.0", "https://10.0.0.1"),
    ("fd00::/8", "https://10.0.0.1"),
    ("10.96.0.1:6443", "https://10.96.0.1"),
    ("10.96.0.1", "https://10.96.0.10"),
    ("example.com", "https://notexample.com"),
    (".example.com", "https://example.com"),
    ("*.example.com", "https://example.com"),
    ("*example.com", "https://peerdb.example.com"),
    ("example.com", "https://example.com.evil.org"),
    ("example.com:8443", "https://example.com"),
    ("example.com:443", "http://example.com"),
    (":443", "https://example.com"),
    (".", "https://example.com"),
    ("*:443", "https://example.com"),
    ("http://example.com", "https://example.com"),
]


@pytest.mark.parametrize(("no_proxy", "url"), DIRECT)
def test_no_proxy_names_what_is_reached_directly(no_proxy: str, url: str) -> None:
    assert Proxies(PROXY, PROXY, no_proxy).to(url) is None


@pytest.mark.parametrize(("no_proxy", "url"), PROXIED)
def test_everything_else_is_reached_through_the_proxy(no_proxy: str, url: str) -> None:
    assert Proxies(PROXY, PROXY, no_proxy).to(url) == PROXY


@pytest.mark.parametrize("proxy", ["socks5://proxy:1080", "http://", "http://proxy:port", "ftp://proxy", "http://[::1"])
def test_a_proxy_of_no_use_is_named_by_its_variable_and_not_quoted(proxy: str) -> None:
    with pytest.raises(ValueError, match=r"^HTTPS_PROXY is no address of an HTTP proxy: give one like http://"):
        Proxies.of({"HTTPS_PROXY": proxy}).to("https://peerdb.example.com")


def test_a_proxy_of_no_use_that_nothing_needs_is_no_error() -> None:
    proxies = Proxies.of({"HTTPS_PROXY": "socks5://proxy:1080", "NO_PROXY": "example.com"})

    assert proxies.to("https://example.com") is None
    assert proxies.to("http://flow-api:8113") is None


def test_a_password_is_passed_on_and_not_shown() -> None:
    proxies = Proxies.of({"HTTPS_PROXY": "http://me:hunter2@proxy:3128"})
    proxy = proxies.to("https://peerdb.example.com")

    assert proxy == "http://me:hunter2@proxy:3128"
    assert "hunter2" not in repr(proxies)
    assert without_password(checked(proxy, "")) == "http://proxy:3128"
