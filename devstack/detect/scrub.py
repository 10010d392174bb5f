"""Which environment variables reach a child process: allow-lists, so that what one shell exports can't change a stack.

`plain` is for the project's own tasks and processes, `reaching` for steps that fetch from the network (clone, install).
Pure: the caller hands over the environment and the text of pip's configuration files.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

FALLBACK_PATH = "/usr/local/bin:/usr/bin:/bin"

_PERSON = frozenset({"HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TERM", "COLORTERM", "TZ", "TMPDIR"})
_PROXIES = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"})
_CERTIFICATES = frozenset({
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO",
    "AWS_CA_BUNDLE",
})
_NETWORK = frozenset({"SSH_AUTH_SOCK", "SSH_AGENT_PID", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "NETRC"})
#: what of uv's own settings says where and how to fetch; the rest would change what is installed
_UV = re.compile(
    r"UV_(INDEX|DEFAULT_INDEX|INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS|INDEX_STRATEGY|KEYRING_PROVIDER|NATIVE_TLS"
    r"|SYSTEM_CERTS|CACHE_DIR|LINK_MODE|INSECURE_HOST|OFFLINE|CREDENTIALS_DIR|HTTP_\w+|CONCURRENT_\w+|REQUEST_TIMEOUT"
    r"|INDEX_\w+_(USERNAME|PASSWORD))"
)
#: what would have changed how Python, its installers or the servers' clients behave
_MEDDLING = re.compile(r"(PYTHON|PIP_|CONDA|PG|DJANGO_|CELERY_|FLASK_)\w*|VIRTUAL_ENV\w*|UV_\w+|POETRY_\w+|LD_PRELOAD")


@dataclass(frozen=True)
class PipSettings:
    """What a machine's pip configuration says about reaching packages; uv doesn't read it itself.

    index_folders: extra indexes that are folders (`file:`), which only pip understands.
    """

    index: str = ""
    extra_indexes: tuple[str, ...] = ()
    index_folders: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    certificate: str = ""
    trusted_hosts: tuple[str, ...] = ()
    timeout: str = ""

    def warnings(self) -> tuple[str, ...]:
        """What of it isn't carried over, or lowers the safety of installs."""
        found = []
        if self.trusted_hosts:
            found.append(
                f"pip's trusted-host ({', '.join(self.trusted_hosts)}) isn't used: certificates stay checked; "
                "name the certificate authority in SSL_CERT_FILE"
            )
        if self.extra_indexes:
            found.append("pip's extra-index-url is asked before the main index: a package of both comes from the extra")
        plain_text = [url for url in (self.index, *self.extra_indexes) if url.startswith("http://")]
        if plain_text:
            found.append("a package index is reached without TLS (http://): anyone on the way can change packages")
        return tuple(found)


def pip_settings(texts: Iterable[str], environ: Mapping[str, str]) -> PipSettings:
    """The settings of pip's configuration files (in pip's order, later ones win) and of PIP_* variables over them."""
    values: dict[str, str] = {}
    for text in texts:
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read_string(text)
        except configparser.Error:
            continue
        for section in ("global", "install"):
            if parser.has_section(section):
                values |= {key.replace("_", "-"): value for key, value in parser.items(section)}
    for name, value in environ.items():
        if name.startswith("PIP_") and value:
            values[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    # a relative place means another one in every folder pip is called from
    places = [place for place in values.get("find-links", "").split() if place.startswith("/") or "://" in place]
    return PipSettings(
        index=values.get("index-url", ""),
        # a folder given as an extra index holds part of what pip also sees elsewhere; uv would look no further
        extra_indexes=tuple(url for url in values.get("extra-index-url", "").split() if url.startswith("http")),
        index_folders=tuple(url for url in values.get("extra-index-url", "").split() if url.startswith("file:")),
        find_links=tuple(places),
        no_index=values.get("no-index", "").lower() in ("1", "true", "yes", "on"),
        certificate=values.get("cert", ""),
        trusted_hosts=tuple(values.get("trusted-host", "").split()),
        timeout=values.get("default-timeout", values.get("timeout", "")),
    )


def plain(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of the project's own commands, before its profile adds to it."""
    kept = {
        name: value for name, value in environ.items()
        if name in _PERSON or name.startswith("LC_") or name.upper() in _PROXIES or name in _CERTIFICATES
    }
    return kept | {"PATH": _path(environ)}


def reaching(environ: Mapping[str, str], pip: PipSettings | None = None) -> dict[str, str]:
    """The environment of a step that fetches: what the machine needs to reach the world, and nothing that steers
    Python. pip's settings are translated to uv's, which win where both are there."""
    kept = plain(environ)
    kept |= {name: value for name, value in environ.items() if name in _NETWORK or _UV.fullmatch(name)}
    for name, value in _translated(pip or PipSettings()).items():
        kept.setdefault(name, value)
    return kept


def for_pip(pip: PipSettings) -> dict[str, str]:
    """The same settings as pip's own variables, and none of the others that its configuration may hold."""
    values = {
        "PIP_INDEX_URL": pip.index, "PIP_EXTRA_INDEX_URL": " ".join((*pip.extra_indexes, *pip.index_folders)),
        "PIP_FIND_LINKS": " ".join(pip.find_links), "PIP_NO_INDEX": "1" if pip.no_index else "",
        "PIP_CERT": pip.certificate, "PIP_DEFAULT_TIMEOUT": pip.timeout if pip.timeout.isdigit() else "",
    }
    return {name: value for name, value in values.items() if value} | {"PIP_CONFIG_FILE": "/dev/null"}


def ignored(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Names of variables that are set here, would have changed how the stack behaves, and reach no command of it."""
    passed = reaching(environ)
    return tuple(sorted(name for name in environ if _MEDDLING.fullmatch(name) and name not in passed))


def _translated(pip: PipSettings) -> dict[str, str]:
    values = {
        "UV_DEFAULT_INDEX": pip.index,
        "UV_INDEX": " ".join(pip.extra_indexes),
        "UV_FIND_LINKS": ",".join(pip.find_links),
        # uv has no variable for `no-index`; with local folders only, working offline means the same
        "UV_OFFLINE": "1" if pip.no_index and not any("://" in place for place in pip.find_links) else "",
        "SSL_CERT_FILE": pip.certificate,
        "UV_HTTP_TIMEOUT": pip.timeout if pip.timeout.isdigit() else "",
    }
    return {name: value for name, value in values.items() if value}


def _path(environ: Mapping[str, str]) -> str:
    """PATH without relative entries (they mean another folder everywhere) and without an activated environment's."""
    active = [environ[name].rstrip("/") + "/bin" for name in ("VIRTUAL_ENV", "CONDA_PREFIX") if environ.get(name)]
    entries = dict.fromkeys(entry.rstrip("/") for entry in environ.get("PATH", "").split(":") if entry[:1] == "/")
    return ":".join(entry for entry in entries if entry not in active) or FALLBACK_PATH
