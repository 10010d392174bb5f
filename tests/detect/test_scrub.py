"""Which variables reach the stack's commands."""

from __future__ import annotations

from devstack.detect import scrub
from devstack.detect.scrub import PipSettings

HOSTILE = {
    "PATH": "/opt/venv/bin:.:bin::/usr/bin:/opt/conda/bin:/bin:/usr/bin", "HOME": "/home/ann", "LC_ALL": "C.UTF-8",
    "VIRTUAL_ENV": "/opt/venv", "CONDA_PREFIX": "/opt/conda", "PYTHONPATH": "/evil", "PYTHONHOME": "/evil",
    "PIP_USER": "1", "UV_PROJECT_ENVIRONMENT": "/elsewhere", "UV_PYTHON": "3.7", "PGHOST": "production", "DB": "x",
    "https_proxy": "http://proxy:3128", "NO_PROXY": "localhost", "SSL_CERT_FILE": "/etc/own.pem",
    "UV_CACHE_DIR": "/big/cache", "SSH_AUTH_SOCK": "/run/agent", "DJANGO_SETTINGS_MODULE": "other.settings",
    "UV_INDEX_PRIVATE_PASSWORD": "secret",
}


def test_the_projects_commands_get_the_person_and_the_way_out_and_nothing_else() -> None:
    assert scrub.plain(HOSTILE) == {
        "PATH": "/usr/bin:/bin", "HOME": "/home/ann", "LC_ALL": "C.UTF-8", "https_proxy": "http://proxy:3128",
        "NO_PROXY": "localhost", "SSL_CERT_FILE": "/etc/own.pem",
    }


def test_steps_that_fetch_also_get_the_agent_and_the_index_but_nothing_that_steers_python() -> None:
    reaching = scrub.reaching(HOSTILE)
    assert set(reaching) - set(scrub.plain(HOSTILE)) == {"UV_CACHE_DIR", "SSH_AUTH_SOCK", "UV_INDEX_PRIVATE_PASSWORD"}


def test_an_empty_or_only_relative_path_becomes_the_systems() -> None:
    assert scrub.plain({})["PATH"] == scrub.plain({"PATH": ".:bin"})["PATH"] == scrub.FALLBACK_PATH


def test_what_was_ignored_can_be_told_by_name() -> None:
    assert scrub.ignored(HOSTILE) == (
        "CONDA_PREFIX", "DJANGO_SETTINGS_MODULE", "PGHOST", "PIP_USER", "PYTHONHOME", "PYTHONPATH",
        "UV_PROJECT_ENVIRONMENT", "UV_PYTHON", "VIRTUAL_ENV",
    )


def test_pips_files_and_variables_are_read_in_pips_order() -> None:
    first = "[global]\nindex-url = https://one.example/\ncert = /etc/ca.pem\nfind_links =\n  /wheels\n  relative\n"
    extra = "https://two.example/simple file:///srv/simple"
    second = f"[install]\nextra-index-url = {extra}\ntrusted-host = two.example\n"
    settings = scrub.pip_settings([first, "not an ini file", second], {"PIP_INDEX_URL": "https://three.example/simple"})
    assert settings == PipSettings(
        index="https://three.example/simple", extra_indexes=("https://two.example/simple",),
        index_folders=("file:///srv/simple",), find_links=("/wheels",),
        certificate="/etc/ca.pem", trusted_hosts=("two.example",),
    )


def test_pips_settings_reach_uv_unless_uv_has_its_own() -> None:
    pip = PipSettings(index="https://pip.example", certificate="/etc/pip.pem", find_links=("/a", "/b"), timeout="60")
    assert scrub.reaching({"UV_DEFAULT_INDEX": "https://uv.example"}, pip) == {
        "PATH": scrub.FALLBACK_PATH, "UV_DEFAULT_INDEX": "https://uv.example", "SSL_CERT_FILE": "/etc/pip.pem",
        "UV_FIND_LINKS": "/a,/b", "UV_HTTP_TIMEOUT": "60",
    }


def test_no_index_with_local_folders_means_offline() -> None:
    assert scrub.reaching({}, PipSettings(no_index=True, find_links=("/a",)))["UV_OFFLINE"] == "1"
    assert "UV_OFFLINE" not in scrub.reaching({}, PipSettings(no_index=True, find_links=("https://x.example/",)))


def test_what_weakens_an_install_is_warned_of() -> None:
    weak = PipSettings(index="http://x.example", extra_indexes=("https://y.example",), trusted_hosts=("x.example",))
    said = "\n".join(weak.warnings())
    assert [word in said for word in ("trusted-host", "extra-index-url", "TLS")] == [True] * 3
    assert PipSettings(index="https://fine.example").warnings() == ()
