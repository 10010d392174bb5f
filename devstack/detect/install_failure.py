"""What went wrong in an installation, read off the installer's last lines: pure text in, a DevstackError out.

uv's words and pip's. What has no pattern here is told with the installer's own words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from devstack.detect.system_needs import NEEDS, Machine
from devstack.errors import DevstackError, NetworkError, ProcessError, StorageError

_EVIDENCE = 25
_DISK = re.compile(r"No space left on device|os error 28\b|Disk quota exceeded", re.I)
_PERMISSION = re.compile(r"Permission denied \(os error 13\)|Read-only file system|os error 30\b|\[Errno 13\]", re.I)
_HASH = re.compile(
    r"Hash mismatch for [`']?(?P<package>[^`'\s]+)|DO NOT MATCH THE HASHES.*\n\s+(?P<pips>\S+) from", re.I
)
_CERTIFICATE = re.compile(r"invalid peer certificate|certificate verify failed|self.signed certificate", re.I)
_REFUSED = re.compile(
    r"HTTP status client error \(40[13]|\b401 (Client )?Error|\b403 (Client )?Error|401 Unauthorized|403 Forbidden"
    r"|Authentication failed|could not read Username|Permission denied \(publickey|terminal prompts disabled",
    re.I,
)
_UNREACHABLE = re.compile(
    r"error sending request|dns error|failed to lookup address|Could not resolve host|tcp connect error"
    r"|unable to access|Connection (refused|reset|broken|aborted)|(operation|request|connection|read) timed out"
    r"|Network is unreachable|Could not read from remote repository|HTTP status server error|network was disabled"
    r"|Temporary failure in name resolution|error: connection-failed|\b50[0234] Server Error|too many 50\d"
    r"|IncompleteRead|error decoding response body|error reading a body|unexpected EOF|end of file before message",
    re.I,
)
_NOT_CACHED = re.compile(r"(?P<package>[A-Za-z0-9][\w.\-\[\]]*) was not found in the cache")
_UNFOUND = re.compile(r"No matching distribution found for (?P<package>\S+)")
_BUILDING = re.compile(r"^\s*Building (?P<package>\S+)")
_BUILT = re.compile(r"^\s*Built (?P<package>\S+)")
_PIPS_WHEEL = re.compile(r"^\s*Building wheel for (?P<package>\S+) \(.*\): (?P<phase>started|finished)")
_BUILD_FAILED = re.compile(
    r"Failed to build (?!when)[`'](?P<package>[^`'\s]+)|Failed building (?:editable|wheel) for (?P<wheel>\S+)"
    r"|Failed to build (?:editable )?(?P<bare>[A-Za-z][^`'\s]*==\S+)",
    re.I,
)
_FETCH_FAILED = re.compile(
    r"Failed to (?:download|fetch|build|resolve)(?: and build)?:? [`'](?P<package>[^`']* @ [^`'\s]+)"
    r"|Collecting (?P<pips>\S+ @ \S+)"
)
_NO_EDITABLE = re.compile(
    r"has no attribute '(?:get_requires_for_|prepare_metadata_for_)?build_editable'|missing the 'build_editable' hook"
    r"|does not support editable|\bPEP 660\b|File \"setup\.py\" (?:or \"setup\.cfg\" )?not found", re.I,
)
_EMPTY_PACKAGE = re.compile(r"No file/folder found for package|Unable to determine which files to ship", re.I)
_NO_SOLUTION = re.compile(r"No solution found|unsatisfiable|ResolutionImpossible", re.I)
_OTHER_PYTHON = re.compile(
    r"(?:current|requested|running) Python version \((?P<has>[^)]+)\) does not satisfy Python(?P<uvs>[<>=!~]\S*)"
    r"|requires a different Python: (?P<had>\S+) not in '(?P<pips>[^']+)'"
    r"|==\S+ requires Python (?P<only>[<>=!~]\S*)"
)
_HEADER = re.compile(r"fatal error: '?([\w.+/-]+\.h(?:pp)?)'?(?: file not found|: No such file)")
_LIBRARY = re.compile(
    r"Dependency \"([\w.+-]+)\" not found|No package '([\w.+-]+)' found|Package '?([\w.+-]+)'? was not found"
)
_BECAUSE = re.compile(r"Because .+|ERROR: Cannot install .+")
_PLACES = (
    re.compile(r"(?:https?|ssh|git)://(?:[^/\s@'\"`]*@)?(?P<host>[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(?::(?P<port>\d+))?"),
    re.compile(r"host='(?P<host>[^']+)', port=(?P<port>\d+)"),
)


@dataclass(frozen=True)
class Context:
    """What an explanation needs besides the output. minor: of the Python installed for. wheels: minors of Python for
    which the package that failed has a wheel; () where that isn't known."""

    machine: Machine
    minor: str = "3"
    wheels: tuple[str, ...] = ()


def is_unreachable(lines: Sequence[str]) -> bool:
    """Did the installer fail because it reached nobody, so that its cache may help?"""
    text = "\n".join(lines)
    return bool(_UNREACHABLE.search(text)) and not (_CERTIFICATE.search(text) or _HASH.search(text))


def unreached(lines: Sequence[str]) -> tuple[str, int] | None:
    """Host and port that the installer's words name as the one it couldn't reach; None where they name none."""
    for line in lines:
        if not re.search(r"fetch|request|retrying|connect|access", line, re.I):
            continue
        for pattern in _PLACES:
            if found := pattern.search(line):
                standard = 80 if line[found.start() :].startswith("http:") else 443
                return found["host"].strip("[]"), int(found["port"] or standard)
    return None


def is_not_editable(lines: Sequence[str]) -> bool:
    """Did a build fail because its backend is older than PEP 660?"""
    return bool(_NO_EDITABLE.search("\n".join(lines)))


def is_no_package(lines: Sequence[str]) -> bool:
    """Did a build fail because the project has no package of its name? It is an application, then."""
    return bool(_EMPTY_PACKAGE.search("\n".join(lines)))


def building(lines: Sequence[str]) -> tuple[str, ...]:
    """Source distributions that were being built when the output ended, such as `scikit-image==0.19.3`."""
    under_way: dict[str, None] = {}
    for line in lines:
        if found := _PIPS_WHEEL.match(line):
            if found["phase"] == "started":
                under_way[found["package"]] = None
            else:
                under_way.pop(found["package"], None)
        elif found := _BUILDING.match(line):
            under_way[found["package"]] = None
        elif found := _BUILT.match(line):
            under_way.pop(found["package"], None)
    return tuple(under_way)


class PythonExcludedError(ProcessError):
    """What is installed allows other Pythons. allowed: which, as a PEP 440 specifier."""

    def __init__(self, allowed: str, what: str, *, why: str, fix: str, evidence: tuple[str, ...]) -> None:
        super().__init__("python-excluded", what, why=why, fix=fix, evidence=evidence)
        self.allowed = allowed


def told(line: str) -> str:
    """A line of the installer as progress: that something is built from source is said with its name."""
    begun = building([line])
    if not begun:
        return line
    name, _, version = begun[0].partition("==")
    return f"building {name} {version} from source" if version else f"building {name}"


def failed_build(lines: Sequence[str]) -> str:
    """`name==version` of the release whose build failed, "" where none did or it is no release."""
    found = _package_of("\n".join(lines))
    return found if re.fullmatch(r"[A-Za-z0-9][\w.-]*==[\w.!+-]+", found) else ""


def diagnose(what: str, lines: Sequence[str], context: Context) -> DevstackError:
    """The error for an installation step that failed. what: the step's words."""
    text = "\n".join(lines)
    evidence = tuple(lines[-_EVIDENCE:])
    for pattern, explain in _EXPLANATIONS:
        if pattern.search(text):
            return explain(_Failure(what, lines, text, evidence, context))
    because = _first(_BECAUSE, lines) if _NO_SOLUTION.search(text) else ""
    said = next((line for line in lines if line.lower().startswith("error:")), "")
    return ProcessError(
        "install-failed", f"{what} failed", why=because or said,
        fix="correct what the lines below name, then: devstack up",
        evidence=evidence,
    )


def timed_out(what: str, lines: Sequence[str], seconds: float, context: Context) -> DevstackError:
    """The error for a step that took too long."""
    under_way = ", ".join(building(lines))
    fix = "set [python] timeout higher, or [python] version to one that has wheels, in devstack.toml"
    return ProcessError(
        "install-timeout", f"{what} took more than {seconds:.0f} s", evidence=tuple(lines[-_EVIDENCE:]),
        why=f"{under_way} was being built from source: no wheel fits Python {context.minor}{_wheels(context)}"
        if under_way else "",
        fix=_version_fix(context) or fix,
    )


@dataclass(frozen=True)
class _Failure:
    what: str
    lines: Sequence[str]
    text: str
    evidence: tuple[str, ...]
    context: Context


def _disk_full(failure: _Failure) -> DevstackError:
    return StorageError(
        "disk-full", f"{failure.what} failed: the disk is full", why=_first(_DISK, failure.lines),
        fix="df -h . ~/.cache; df -i . ~/.cache", evidence=failure.evidence,
    )


def _hash_mismatch(failure: _Failure) -> DevstackError:
    found = _HASH.search(failure.text)
    package = (found["package"] or found["pips"]) if found else "a package"
    hashes = re.findall(r"\b(?:sha256[: ])?\s*([0-9a-f]{64})\b", failure.text[found.start() if found else 0 :])
    wanted = f"expected {hashes[0]}, got {hashes[-1]}; " if len(hashes) > 1 else ""
    return NetworkError(
        "hash-mismatch", f"{package} isn't the file that its hash promises ({failure.what})",
        why=f"{wanted}the index, a proxy or the requirements changed; nothing of this step was installed",
        fix=f"ask who changed {package}; if it was meant, lock its new hash, then: devstack up",
        evidence=failure.evidence,
    )


def _build_failed(failure: _Failure) -> DevstackError:
    package = _package_of(failure.text) or "a package"
    context = failure.context
    why = f"no ready-made wheel fits Python {context.minor} and this machine{_wheels(context)}"
    for need in NEEDS:
        if re.search(need.pattern, failure.text):
            verb = "are" if need.thing.endswith("headers") else "is"
            return ProcessError(
                "install-failed", f"{package} can't be built: {need.thing} {verb} missing", evidence=failure.evidence,
                why=why, fix=need.command(context.machine, context.minor),
            )
    file = _missing_file(failure.text)
    find = f"find the package that has {file} (Debian: apt-file search {file}), install it, then: devstack up"
    return ProcessError(
        "install-failed", f"{package} can't be built{f': {file} is missing' if file else ' from source'}",
        why=why, evidence=failure.evidence,
        fix=_version_fix(context) or (find if file else "correct what the lines below name, then: devstack up"),
    )


def _missing_file(text: str) -> str:
    """The header or the pkg-config file that a build looked for in vain, where no need is known by it."""
    if found := _HEADER.search(text):
        return found[1]
    found = _LIBRARY.search(text)
    return f"{next(group for group in found.groups() if group)}.pc" if found else ""


def _wheels(context: Context) -> str:
    return f"; there are wheels for Python {', '.join(context.wheels)}" if context.wheels else ""


def _version_fix(context: Context) -> str:
    """The minor nearest to the one in use that has a wheel, as an edit of the profile."""
    if not context.wheels:
        return ""
    here = _number(context.minor)
    nearest = min(context.wheels, key=lambda minor: (abs(_number(minor) - here), _number(minor)))
    return f'version = "{nearest}" below [python]'


def _number(minor: str) -> int:
    return int(minor.rpartition(".")[2]) if minor.rpartition(".")[2].isdigit() else 0


def _other_python(failure: _Failure) -> DevstackError:
    found = _OTHER_PYTHON.search(failure.text)
    if found is None:
        raise LookupError("called for what it doesn't explain")
    wanted = (found["uvs"] or found["pips"] or found["only"]).rstrip(",.;")
    has = found["has"] or found["had"] or failure.context.minor
    return PythonExcludedError(
        wanted, f"{failure.what} failed: Python {has} is none that it allows",
        why=_first(_BECAUSE, failure.lines) or _first(_OTHER_PYTHON, failure.lines),
        fix=f'version = "{wanted}" below [python]', evidence=failure.evidence,
    )


def _certificate_unknown(failure: _Failure) -> DevstackError:
    return NetworkError(
        "certificate-unknown", f"{failure.what} failed: the index's certificate isn't trusted",
        why="something on the way, often a company's proxy, signs with its own authority",
        fix="export SSL_CERT_FILE=/path/to/that-authority.pem", evidence=failure.evidence,
    )


def _refused(failure: _Failure) -> DevstackError:
    place = unreached(failure.lines)
    host = place[0] if place else "that host"
    return NetworkError(
        "index-refused", f"{failure.what} failed: a server wants other credentials{_of(failure)}",
        why=_first(_REFUSED, failure.lines), evidence=failure.evidence,
        fix=f"put the credentials for {host} into ~/.netrc, or load your SSH key: ssh-add",
    )


def _unreachable(failure: _Failure) -> DevstackError:
    absent = [found["package"] for line in failure.lines for found in _NOT_CACHED.finditer(line)]
    absent = absent or [found["package"] for line in failure.lines for found in _UNFOUND.finditer(line)]
    listed = ", ".join(dict.fromkeys(absent))
    missing = f": {listed} isn't in the cache" if listed else _of(failure)
    return NetworkError(
        "offline-missing" if listed else "network-unreachable",
        f"{failure.what} failed: a server can't be reached{missing}", why=_first(_UNREACHABLE, failure.lines),
        fix="check the network and HTTPS_PROXY, then: devstack up", evidence=failure.evidence,
    )


def _of(failure: _Failure) -> str:
    """Which requirement of its own address (git, a URL) it was about."""
    found = [match for line in failure.lines for match in _FETCH_FAILED.finditer(line)]
    return f": {(found[-1]['package'] or found[-1]['pips'])}" if found else ""


def _no_permission(failure: _Failure) -> DevstackError:
    return StorageError(
        "no-permission", f"{failure.what} failed: a file can't be written", why=_first(_PERMISSION, failure.lines),
        fix="ls -ld .devstack ~/.cache/uv", evidence=failure.evidence,
    )


def _not_fetched(failure: _Failure) -> DevstackError | None:
    """The error where it was the network's, whatever was to be fetched."""
    kinds = ((_REFUSED, _refused), (_CERTIFICATE, _certificate_unknown), (_UNREACHABLE, _unreachable))
    return next((explain(failure) for pattern, explain in kinds if pattern.search(failure.text)), None)


def _tools_failed(failure: _Failure) -> DevstackError:
    """What a build needs first couldn't be had; the build itself never began."""
    return _not_fetched(failure) or _build_failed(failure)


def _git_failed(failure: _Failure) -> DevstackError:
    if re.search(r"No such file or directory|Git executable not found", failure.text):
        return _build_failed(failure)
    if found := _not_fetched(failure):
        return found
    said = next((line.strip() for line in failure.lines if re.match(r"\s*(fatal|error): ", line)), "")
    return NetworkError(
        "git-failed", f"{failure.what} failed: a requirement from git can't be had{_of(failure)}", why=said,
        fix="correct its address or its revision, then: devstack up", evidence=failure.evidence,
    )


#: asked in this order: a full disk also breaks builds, a build's own output may talk of networks
_EXPLANATIONS: tuple[tuple[re.Pattern[str], Callable[[_Failure], DevstackError]], ...] = (
    (_DISK, _disk_full),
    (_HASH, _hash_mismatch),
    (re.compile(r"Git operation failed|git (clone|fetch)\b.*did not run"), _git_failed),
    (re.compile(r"requirements from `build-system.requires`|installing build dependencies did not run"), _tools_failed),
    (_BUILD_FAILED, _build_failed),
    (re.compile(r"Getting requirements to build \w+ did not run|Preparing metadata .* did not run"), _build_failed),
    (_CERTIFICATE, _certificate_unknown),
    (_REFUSED, _refused),
    (_UNREACHABLE, _unreachable),
    (_OTHER_PYTHON, _other_python),
    (_PERMISSION, _no_permission),
)


def _package_of(text: str) -> str:
    found = _BUILD_FAILED.search(text)
    if found:
        return str(found["package"] or found["wheel"] or found["bare"])
    collecting = re.findall(r"^\s*(?:Collecting|Processing) (\S+)", text, re.M)
    return str(collecting[-1]) if collecting else ""


def _first(pattern: re.Pattern[str], lines: Sequence[str]) -> str:
    found = next((line for line in lines if pattern.search(line)), "")
    return found.strip(" ╰─▶×│├").removeprefix("cause: ").removeprefix("error: ")
