"""Texts that name another service (its host, its URL, who logs in) as references to what devstack decides."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from devstack.detect.compose.interpolation import plain, replaced, unset
from devstack.profile.interpolation import escape

_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:(?P<user>[^/@\s:]*)(?::(?P<password>[^/@\s]*))?@)?"
    r"(?P<host>[A-Za-z0-9][A-Za-z0-9._-]*)(?::(?P<port>\d+))?(?P<path>/[^?#\s,;\"']*)?(?P<rest>[?#][^\s,;\"']*)?"
)
_HOSTS = re.compile(
    r"(?P<prefix>.*?)_?(HOST|HOSTNAME|HOSTS|SERVER|SERVERS|ADDR|ADDRESS|ENDPOINT|LOCATION|SERVICE|NODE)$", re.IGNORECASE
)
_PARTS = {
    "port": re.compile(r"_?PORT(_NUMBER)?$", re.IGNORECASE),
    "user": re.compile(r"_?(USER|USERNAME|LOGIN)$", re.IGNORECASE),
    "password": re.compile(r"_?(PASS|PASSWORD|PASSWD|PWD)$", re.IGNORECASE),
    "database": re.compile(r"_?(DB|DBNAME|DB_NAME|NAME|DATABASE|VHOST)$", re.IGNORECASE),
}
_KIND = {
    "postgres": re.compile(r"POSTGRES|PG|PSQL|DB|DATABASE|SQL", re.IGNORECASE),
    "redis": re.compile(r"REDIS|VALKEY|CACHE", re.IGNORECASE),
    "rabbitmq": re.compile(r"RABBIT|AMQP|BROKER", re.IGNORECASE),
}
_SCHEMES = {
    "postgres": frozenset({"postgres", "postgresql", "psql", "pgsql"}),
    "redis": frozenset({"redis"}),
    "rabbitmq": frozenset({"amqp"}),
}


@dataclass
class Target:
    """What a name in the file stands for. section, name: in the profile. kind: "" for a process. ports: reference by
    the port inside; port: the main one of those. is_contained: it runs in a container, as `name` on the stack's
    network. databases: declared by those who ask for another one."""

    section: str
    name: str
    kind: str = ""
    ports: Mapping[int, str] = field(default_factory=dict)
    port: int = 0
    user: str = ""
    password: str = ""
    database: str = ""
    has_password: bool = True
    is_contained: bool = True
    databases: list[str] = field(default_factory=list)

    def field(self, name: str) -> str:
        return f"${{{self.section}.{self.name}.{name}}}"

    def host(self, *, inside: bool) -> str:
        """inside: as a container reaches it."""
        if self.section == "services":
            return self.field("host")
        return self.name if inside and self.is_contained else "127.0.0.1"

    def port_of(self, text: str, *, inside: bool = False) -> str | None:
        """None for a port that nothing here is known to listen on."""
        number = int(text) if text else self.port
        if self.section == "processes" and inside and self.is_contained:
            return str(number)
        return f"${{{self.ports[number]}}}" if number in self.ports else None


class Addresses:
    """Every name that a container of the file can be reached by. inside: for somebody who runs in a container too."""

    def __init__(self, targets: Mapping[str, Target], *, inside: bool = False) -> None:
        self._targets = targets
        self._inside = inside
        #: names of variables that log in at several services, and those
        self.ambiguous: dict[str, tuple[str, ...]] = {}
        names = "|".join(re.escape(name) for name in sorted(targets, key=len, reverse=True))
        self._pair = re.compile(rf"(?<![\w.@/-])({names}):(\d+)(?![\d.])") if names else None

    def environment(self, values: Mapping[str, str]) -> dict[str, str]:
        """Each value as a text of a profile. A variable without a value stays marked."""
        hosts = self._hosts(values)
        return {name: self._part(name, value, hosts) or self._value(name, value) for name, value in values.items()}

    def text(self, value: str) -> str:
        """A text that names others by URL or `host:port`."""
        return self._pairs(_URL.sub(self._url, escape(value)))

    def _value(self, name: str, value: str) -> str:
        target = self._targets.get(plain(value))
        if target is not None and (_HOSTS.fullmatch(name) or re.search(r"_?UR[IL]$", name, re.IGNORECASE)):
            return target.host(inside=self._inside)
        return self.text(value)

    def _hosts(self, values: Mapping[str, str]) -> list[tuple[str, Target]]:
        """Prefixes of variables that belong together, the longest first."""
        found = {}
        for name, value in values.items():
            host = _HOSTS.fullmatch(name)
            target = self._targets.get(re.sub(r":\d+$", "", plain(value)))
            if host and target:
                found[host["prefix"]] = target
        return sorted(found.items(), key=lambda pair: -len(pair[0]))

    def _part(self, name: str, value: str, hosts: Sequence[tuple[str, Target]]) -> str | None:
        """The value of a variable that says one part of how to reach a target."""
        for prefix, target in hosts:
            if prefix and name.startswith(prefix):
                # any other server's login is its own
                parts = _PARTS if target.kind in _KIND else {"port": _PARTS["port"]}
                for part, pattern in parts.items():
                    if pattern.fullmatch(name[len(prefix):]):
                        return self._known_part(target, part, plain(value), is_sure=True)
        return self._login(name, plain(value))

    def _login(self, name: str, value: str) -> str | None:
        """The value of a variable that says how to log in, by what stands there now; its host is said elsewhere."""
        found: dict[str, str] = {}
        part = next((part for part, pattern in _PARTS.items() if pattern.search(name)), "")
        for one in self._targets.values():
            if part and one.kind in _KIND and _KIND[one.kind].match(name):
                text = self._known_part(one, part, value, is_sure=False)
                found |= {one.name: text} if text else {}
        if len(found) > 1 and part == "password":
            self.ambiguous[name] = tuple(found)
        return next(iter(found.values()), None)

    def _known_part(self, target: Target, part: str, value: str, *, is_sure: bool) -> str | None:
        """is_sure: the variable stands beside one with the target's host."""
        if part == "port":
            if not is_sure and value != str(target.port):
                return None
            return target.port_of(value, inside=self._inside) if value.isdigit() else target.field("port")
        if part == "database":
            return _database(target, value) if is_sure or value == target.database else None
        if part == "password" and not target.has_password:
            return ""
        if part == "user" and target.kind == "redis":
            return None
        known = target.user if part == "user" else target.password
        return target.field(part) if is_sure or (value and value == known) else None

    # --- texts -------------------------------------------------------------------------------------------------------

    def _url(self, found: re.Match[str]) -> str:
        target = self._targets.get(found["host"])
        if target is None:
            return found[0]
        if target.kind in _KIND:
            return _kind_url(target, found)
        rest = f"{found['path'] or ''}{found['rest'] or ''}"
        login = f"{found['user']}{':' if found['password'] else ''}{found['password'] or ''}@" if found["user"] else ""
        number = found["port"] or _default_port(found["scheme"], target)
        if target.section == "processes" and found["scheme"] == "http" and number in (str(target.port), ""):
            return f"{target.field('url')}{rest}" if target.port and not login else found[0]
        port = target.port_of(number, inside=self._inside)
        return f"{found['scheme']}://{login}{target.host(inside=self._inside)}:{port}{rest}" if port else found[0]

    def _pairs(self, text: str) -> str:
        def replacement(found: re.Match[str]) -> str:
            target = self._targets[found[1]]
            port = target.port_of(found[2], inside=self._inside)
            return f"{target.host(inside=self._inside)}:{port}" if port else found[0]

        return self._pair.sub(replacement, text) if self._pair else text


def _default_port(scheme: str, target: Target) -> str:
    standard = {"http": "80", "https": "443", "ws": "80", "wss": "443"}.get(scheme, "")
    return standard if standard and int(standard) in target.ports else ""


def _kind_url(target: Target, found: re.Match[str]) -> str:
    """A database's, a cache's or a broker's URL."""
    inner, rest = (found["path"] or "").removeprefix("/"), found["rest"] or ""
    is_usual = found["scheme"] in _SCHEMES[target.kind]
    if target.kind == "redis":
        login = f":{target.field('password')}@" if target.has_password else ""
        # the number of another database than the one in the service's own URL
        is_usual = is_usual and inner in ("", "0")
    else:
        login = f"{target.field('user')}:{target.field('password')}@"
        other = _database(target, inner)
        is_usual = is_usual and other == target.field("database")
        inner = other
    if target.kind == "rabbitmq":
        # an escaped `/` is the vhost of that name
        vhost = (found["path"] or "/").removeprefix("/") or "/"
        is_usual = found["scheme"] == "amqp" and vhost.replace("%2F", "/").replace("%2f", "/") == target.database
        inner = "/" if target.database == "/" else target.field("vhost")
    if is_usual:
        return f"{target.field('url')}{rest}"
    return f"{found['scheme']}://{login}{target.field('host')}:{target.field('port')}/{inner}{rest}"


def _database(target: Target, name: str) -> str:
    """A reference to the first database, or another one's name, which is then declared too."""
    if target.kind == "rabbitmq":
        return target.field("vhost")
    if target.kind == "redis":
        return name
    if not name or name == target.database:
        return target.field("database")
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,62}", name) and name not in target.databases:
        target.databases.append(name)
    return name


def with_asked(text: str) -> str:
    """Variables without a value as references to values that are asked for."""
    return replaced(text, "${{env.{0}}}") if unset(text) else text
