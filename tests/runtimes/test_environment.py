"""Who sees which of Mooring's own variables."""

import pytest

from mooring.runtimes.environment import BASE, base, installing

OWN = {name: f"own {name}" for name in BASE} | {
    "API_KEY": "secret",
    "PYTHONPATH": "/x",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "MOORING_DATA": "/d",
}


def test_a_server_sees_the_short_list() -> None:
    assert base(OWN) == {name: f"own {name}" for name in BASE}
    assert base({"HOME": "/root"}) == {"HOME": "/root"}


@pytest.mark.parametrize(
    "name",
    [
        "PIP_INDEX_URL", "PIP_FIND_LINKS", "UV_INDEX_URL", "NPM_CONFIG_REGISTRY",
        "npm_config_cafile", "https_proxy", "NO_PROXY", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS",
    ],
)  # fmt: skip
def test_pip_and_npm_see_what_configures_them(name: str) -> None:
    assert installing(OWN | {name: "x"}) == base(OWN) | {name: "x"}


@pytest.mark.parametrize("name", ["PIP_TARGET", "PIP_USER", "NPM_CONFIG_PREFIX", "npm_config_json"])
def test_nothing_leads_an_installation_elsewhere(name: str) -> None:
    assert installing(OWN | {name: "x"}) == base(OWN)
