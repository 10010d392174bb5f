"""What went wrong in an installation, read off the installer's last lines: pure text in, a DevstackError out.

The tables hold what is common in Django projects; anything else is told with the installer's own words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from devstack.errors import DevstackError, NetworkError, ProcessError, StorageError

_EVIDENCE = 25
_DISK = re.compile(r"No space left on device|os error 28\b|Disk quota exceeded", re.I)
_PERMISSION = re.compile(r"Permission denied \(os error 13\)|Read-only file system|os error 30\b", re.I)
_HASH = re.compile(r"Hash mismatch for [`']?(?P<package>[^`'\s]+)", re.I)
_CERTIFICATE = re.compile(r"invalid peer certificate|certificate verify failed|self.signed certificate", re.I)
_REFUSED = re.compile(r"HTTP status client error \(40[13]|401 Unauthorized|403 Forbidden|Authentication failed", re.I)
_UNREACHABLE = re.compile(
    r"error sending request|dns error|failed to lookup address|Could not resolve host|tcp connect error"
    r"|unable to access|Connection (refused|reset)|(operation|request|connection) timed out|Network is unreachable"
    r"|Could not read from remote repository|HTTP status server error|network was disabled",
    re.I,
)
_NOT_CACHED = re.compile(r"(?P<package>[A-Za-z0-9][\w.\-\[\]]*) was not found in the cache")
_BUILDING = re.compile(r"^\s*Building (?P<package>\S+)")
_BUILT = re.compile(r"^\s*Built (?P<package>\S+)")
_BUILD_FAILED = re.compile(r"Failed to build(?: editable| wheel for)? ?[`']?(?P<package>[^`'\s]+)", re.I)
_NO_SOLUTION = re.compile(r"No solution found|unsatisfiable", re.I)
_BECAUSE = re.compile(r"Because .+")


@dataclass(frozen=True)
class Need:
    """Something of the system that a build looked for: Debian's, Fedora's and Homebrew's package of it."""

    pattern: str
    thing: str
    debian: str
    fedora: str
    brew: str

    def command(self, family: str) -> str:
        """The command that installs it on this family (`debian`, `fedora`, `macos`), "" where it isn't known."""
        return {
            "debian": f"sudo apt install {self.debian}", "fedora": f"sudo dnf install {self.fedora}",
            "macos": f"brew install {self.brew}" if self.brew else "xcode-select --install",
        }.get(family, f"sudo apt install {self.debian}")


#: asked in this order: a named header says more than "the compiler failed"
NEEDS = (
    Need(
        r"pg_config executable not found|pg_config.*is required|libpq-fe\.h",
        "pg_config and libpq's headers", "libpq-dev", "libpq-devel", "libpq",
    ),
    Need(
        r"mysql_config|mysql\.h|Can not find valid pkg-config name",
        "MySQL's headers", "default-libmysqlclient-dev pkg-config", "mysql-devel pkgconf", "mysql-client pkg-config",
    ),
    Need(
        r"(lber|ldap|sasl)\.h", "OpenLDAP's headers", "libldap-dev libsasl2-dev", "openldap-devel cyrus-sasl-devel",
        "openldap",
    ),
    Need(r"xmlsec1", "xmlsec1's headers", "libxmlsec1-dev pkg-config", "xmlsec1-devel", "libxmlsec1 pkg-config"),
    Need(
        r"libxml/\w+\.h|libxml2 and libxslt|xslt-config",
        "libxml2's and libxslt's headers", "libxml2-dev libxslt1-dev", "libxml2-devel libxslt-devel", "libxml2 libxslt",
    ),
    Need(r"curl-config|curl/curl\.h", "libcurl's headers", "libcurl4-openssl-dev", "libcurl-devel", "curl"),
    Need(
        r"jpeglib\.h|headers or library files could not be found for (jpeg|zlib)",
        "libjpeg's headers", "libjpeg-dev zlib1g-dev", "libjpeg-turbo-devel zlib-devel", "jpeg",
    ),
    Need(r"\bffi\.h", "libffi's headers", "libffi-dev", "libffi-devel", "libffi"),
    Need(r"openssl/\w+\.h", "OpenSSL's headers", "libssl-dev", "openssl-devel", "openssl"),
    Need(r"\bsql(ext)?\.h", "unixODBC's headers", "unixodbc-dev", "unixODBC-devel", "unixodbc"),
    Need(r"gdal-config|\bgdal\.h", "GDAL", "libgdal-dev", "gdal-devel", "gdal"),
    Need(r"\bgeos_c\.h|geos-config", "GEOS", "libgeos-dev", "geos-devel", "geos"),
    Need(r"\bfuzzy\.h", "libfuzzy's headers", "libfuzzy-dev", "ssdeep-devel", "ssdeep"),
    Need(r"librdkafka", "librdkafka's headers", "librdkafka-dev", "librdkafka-devel", "librdkafka"),
    Need(r"\bPython\.h", "Python's own headers", "python3-dev", "python3-devel", "python"),
    Need(r"can't find Rust compiler|(cargo|rustc)\b.*not (found|installed)", "Rust", "cargo", "cargo", "rust"),
    Need(r"(?i)cmake\b.*(not found|must be installed)", "CMake", "cmake", "cmake", "cmake"),
    Need(r"pkg-config\b.*not found", "pkg-config", "pkg-config", "pkgconf", "pkg-config"),
    Need(
        r"(?i)(gcc|\bcc|g\+\+|clang)\b['\"`]?:? [^\n]*(not found|No such file)"
        r"|No such file or directory: '(\S*gcc|cc|g\+\+|make)'|unable to execute '?\S*(gcc|cc)\b",
        "a C compiler", "build-essential", "gcc gcc-c++ make", "",
    ),
)


def is_unreachable(lines: Sequence[str]) -> bool:
    """Did the installer fail because it reached nobody, so that its cache may help?"""
    text = "\n".join(lines)
    return bool(_UNREACHABLE.search(text)) and not (_CERTIFICATE.search(text) or _HASH.search(text))


def building(lines: Sequence[str]) -> tuple[str, ...]:
    """Source distributions that were being built when the output ended, such as `scikit-image==0.19.3`."""
    under_way: dict[str, None] = {}
    for line in lines:
        if found := _BUILDING.match(line):
            under_way[found["package"]] = None
        elif found := _BUILT.match(line):
            under_way.pop(found["package"], None)
    return tuple(under_way)


def diagnose(what: str, lines: Sequence[str], family: str) -> DevstackError:
    """The error for an installation step that failed. what: the step's words. family: `debian`, `fedora`, `macos`."""
    text = "\n".join(lines)
    evidence = tuple(lines[-_EVIDENCE:])
    for pattern, explain in _EXPLANATIONS:
        if pattern.search(text):
            return explain(_Failure(what, lines, text, evidence, family))
    because = _first(_BECAUSE, lines) if _NO_SOLUTION.search(text) else ""
    said = next((line for line in lines if line.startswith("error:")), "")
    return ProcessError(
        "install-failed", f"{what} failed", why=because or said,
        fix="correct what the lines below name, then: devstack up",
        evidence=evidence,
    )


@dataclass(frozen=True)
class _Failure:
    what: str
    lines: Sequence[str]
    text: str
    evidence: tuple[str, ...]
    family: str


def _disk_full(failure: _Failure) -> DevstackError:
    return StorageError(
        "disk-full", f"{failure.what} failed: the disk is full", why=_first(_DISK, failure.lines),
        fix="df -h . ~/.cache; df -i . ~/.cache", evidence=failure.evidence,
    )


def _hash_mismatch(failure: _Failure) -> DevstackError:
    found = _HASH.search(failure.text)
    return NetworkError(
        "hash-mismatch", f"{found['package'] if found else 'a package'} isn't the file that its hash promises",
        why="the index, a proxy or the requirements changed; nothing of this step was installed",
        fix="compare the two hashes below with the requirements; `uv cache clean` forgets a damaged download",
        evidence=failure.evidence,
    )


def _build_failed(failure: _Failure) -> DevstackError:
    found = _BUILD_FAILED.search(failure.text)
    package = found["package"] if found else "a package"
    for need in NEEDS:
        if re.search(need.pattern, failure.text):
            return ProcessError(
                "install-failed", f"{package} can't be built: {need.thing} is missing", evidence=failure.evidence,
                why="no ready-made wheel fits this Python and machine", fix=need.command(failure.family),
            )
    return ProcessError(
        "install-failed", f"{package} can't be built from source", evidence=failure.evidence,
        why="no ready-made wheel fits this Python and machine; another Python version may have one",
        fix='set [python] version in devstack.toml to one that has wheels, such as version = "3.11"',
    )


def _certificate_unknown(failure: _Failure) -> DevstackError:
    return NetworkError(
        "certificate-unknown", f"{failure.what} failed: the index's certificate isn't trusted",
        why="something on the way, often a company's proxy, signs with its own authority",
        fix="export SSL_CERT_FILE=/path/to/that-authority.pem", evidence=failure.evidence,
    )


def _refused(failure: _Failure) -> DevstackError:
    return NetworkError(
        "index-refused", f"{failure.what} failed: a server wants other credentials",
        why=_first(_REFUSED, failure.lines), evidence=failure.evidence,
        fix="put the credentials for that host into ~/.netrc, or load your SSH key: ssh-add",
    )


def _unreachable(failure: _Failure) -> DevstackError:
    absent = tuple(dict.fromkeys(
        found["package"] for line in failure.lines for found in _NOT_CACHED.finditer(line)
    ))
    missing = f": {', '.join(absent)} isn't in the cache" if absent else ""
    return NetworkError(
        "offline-missing" if absent else "network-unreachable",
        f"{failure.what} failed: a server can't be reached{missing}", why=_first(_UNREACHABLE, failure.lines),
        fix="check the network and HTTPS_PROXY, then: devstack up", evidence=failure.evidence,
    )


def _no_permission(failure: _Failure) -> DevstackError:
    return StorageError(
        "no-permission", f"{failure.what} failed: a file can't be written", why=_first(_PERMISSION, failure.lines),
        fix="ls -ld .devstack ~/.cache/uv", evidence=failure.evidence,
    )


#: asked in this order: a full disk also breaks builds, a build's own output may talk of networks
_EXPLANATIONS: tuple[tuple[re.Pattern[str], Callable[[_Failure], DevstackError]], ...] = (
    (_DISK, _disk_full),
    (_HASH, _hash_mismatch),
    (_BUILD_FAILED, _build_failed),
    (_CERTIFICATE, _certificate_unknown),
    (_REFUSED, _refused),
    (_UNREACHABLE, _unreachable),
    (_PERMISSION, _no_permission),
)


def _first(pattern: re.Pattern[str], lines: Sequence[str]) -> str:
    found = next((line for line in lines if pattern.search(line)), "")
    return found.strip(" ╰─▶×│├").removeprefix("cause: ").removeprefix("error: ")
