"""RabbitMQ: declaration, ways to a server, process form, URL, probe.

User, vhosts, permissions and exchanges are a definitions file that the node imports at every start: a first start needs
no control command, a changed password or declaration needs a restart, and `guest` never exists. The node runs without
shell wrapper, epmd and host name, so several stacks share a machine and a renamed machine keeps its queues.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from devstack.errors import DevstackError, ProcessError, UsageError
from devstack.profile.model import Service
from devstack.profile.secret import Secret
from devstack.services import (
    Client,
    ContainerService,
    Copies,
    Hint,
    Instance,
    Kept,
    Kind,
    NativeService,
    Probe,
    Question,
    Runner,
    Server,
    ServerFile,
    Source,
)
from devstack.services._rabbitmq_copies import Control, clear, dump, load, plant, recall, seed
from devstack.services._rabbitmq_model import (
    BEGINNING,
    ENDING,
    IN_CONTAINER,
    Exchange,
    RabbitMQ,
    declared_of,
    definitions,
    exchanges_of,
    session,
    vhosts_of,
)
from devstack.services._rabbitmq_portable import adopt, export
from devstack.services._rabbitmq_sources import HINTS, SOURCES
from devstack.wire import ask

#: the data folder's tables belong to this name; it never changes
NODE = "rabbit@localhost"
#: in a container
_TOPOLOGY = "/etc/rabbitmq/devstack.json"
#: its own tools run for seconds, and as root they may make a cookie that the server can't read
_GREETING = (
    r"exec 3<>/dev/tcp/127.0.0.1/5672 && printf 'AMQP\0\0\11\1' >&3 && [ $(timeout 5 head -c 1 <&3 | wc -c) = 1 ]"
)

#: the build that is known well enough to leave out what it doesn't need at boot (measured: 4.1 s → 1.7 s)
_KNOWN = "3.10.8"
#: of its 68 plugin folders, those that a node without plugins needs
_PLUGINS = (
    "amqp10_common-3.10.8", "aten-0.5.8", "credentials_obfuscation-3.1.0", "cuttlefish-3.0.1", "enough-0.1.0",
    "gen_batch_server-0.8.8", "getopt-1.0.2", "jsx-3.1.0", "observer_cli-1.7.3", "osiris-1.3.1", "ra-2.2.0",
    "rabbit-3.10.8", "rabbit_common-3.10.8", "rabbitmq_prelaunch-3.10.8", "ranch-2.1.0", "recon-2.5.2", "seshat-0.3.2",
    "stdout_formatter-0.2.4", "syslog-4.0.0", "sysmon_handler-1.3.0", "systemd-0.6.1",
)  # fmt: skip

#: of the emulator, as the server's own start script sets it, with tables sized for one developer
_EMULATOR = (
    "+W", "w", "+MBas", "ageffcbf", "+MHas", "ageffcbf", "+MBlmbcs", "512", "+MHlmbcs", "512", "+MMmcs", "30",
    "+P", "65536", "+t", "1048576", "+Q", "4096", "+stbt", "db", "+zdbbl", "128000",
    "+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none", "+B", "i",
)  # fmt: skip


class RabbitMQKind:
    """The kind `rabbitmq`."""

    declaration: type[Service] = RabbitMQ
    default_version = "3"
    ports: Mapping[str, int] = {"main": 5672, "dist": 25672}
    sources: tuple[Source, ...] = SOURCES
    memory_mb = 120
    hints: tuple[Hint, ...] = HINTS
    patch_glob = "usr/lib/**/ebin/*.app"

    def account(self, declaration: Service, stack: str) -> str:
        # the one name that must not exist
        return "app_guest" if stack == "guest" else stack

    def needs(self, declaration: Service) -> frozenset[str]:
        return frozenset()

    def patch(self, server: Server, path: str, text: str) -> str | None:
        """Take the module lists out of libraries: at boot the node looks into every module listed for things that only
        its own have, which costs a second."""
        own = re.match(r"rabbit|amqp", PurePosixPath(path).name)
        if server.version != _KNOWN or own:
            return None
        return re.sub(r"\{modules,\s*\[[^\]]*\]\}", "{modules,[]}", text)

    def native(self, instance: Instance, server: Server) -> NativeService:
        """The node itself (erlexec, or erl of an installed Erlang): signals and exit status are its own. Raises
        UsageError for a folder that the server can't live in."""
        data, dist = instance.data, instance.ports["dist"]
        if "'" in data:
            # its disk monitor puts the folder between apostrophes for a shell, and the node hangs as it starts
            raise UsageError(
                "path-unsupported", f"{instance.name} can't run in a folder with an apostrophe in its path", why=data,
                fix="devstack up --runtime docker",
            )
        start, env = _emulator(instance, server)
        distribution = (
            "-sname", NODE, "-start_epmd", "false", "-erl_epmd_port", str(dist),
            "-kernel", "inet_dist_use_interface", "{127,0,0,1}",
            "-kernel", "inet_dist_listen_min", str(dist), "-kernel", "inet_dist_listen_max", str(dist),
            "-kernel", "prevent_overlapping_partitions", "false",
        )  # fmt: skip
        quiet = ("-syslog", "logger", "[]", "-syslog", "syslog_error_logger", "false")
        plugins = f"{env['RABBITMQ_HOME']}/plugins"
        before = () if _is_known(server) else ("-eval", BEGINNING)
        return NativeService(
            argv=(*start, "-noinput", *before, "-s", "rabbit", "boot", "-boot", "start_sasl", *_EMULATOR, *distribution,
                  *quiet, "-eval", ENDING),
            env={**env, **_settings(instance)},
            cwd=data,
            files=(
                # Erlang takes the cookie from this file alone, and only if nobody else can read it
                ServerFile(".erlang.cookie", _cookie(instance), 0o400),
                ServerFile("advanced.config", _config(instance)),
                ServerFile("definitions.json", definitions(instance, server.version)),
                ServerFile("enabled_plugins", "[].\n"),
            ),
            folders=("mnesia", "log", "config"),
            links={f"plugins/{name}": f"{plugins}/{name}" for name in _PLUGINS} if _is_known(server) else {},
            stop_grace=30.0,
        )

    def image(self, declaration: Service) -> str:
        return declaration.image or f"rabbitmq:{declaration.version or self.default_version}"

    def container(self, instance: Instance) -> ContainerService:
        """The node as its official image starts it (hub.docker.com/_/rabbitmq), told who it is by the same file."""
        # an image of the person's own is meant with its plugins, and may not begin as root, which gives the cookie away
        lean = (
            ServerFile("/etc/rabbitmq/enabled_plugins", "[].\n", 0o444),
            ServerFile("/var/lib/rabbitmq/.erlang.cookie", _cookie(instance), 0o600),
        )
        return ContainerService(
            image=self.image(instance.declaration),
            ports={"main": 5672},
            volumes={"data": "/var/lib/rabbitmq"},
            env={"RABBITMQ_NODENAME": NODE, **IN_CONTAINER},
            files=(
                ServerFile("/etc/rabbitmq/conf.d/90-devstack.conf", f"load_definitions = {_TOPOLOGY}\n", 0o444),
                ServerFile(_TOPOLOGY, definitions(instance, ""), 0o444),
                *(() if instance.declaration.image else lean),
            ),
            client=("rabbitmqctl",), hostname="localhost", health=("bash", "-c", _GREETING),
        )

    def url(self, instance: Instance) -> Secret:
        vhost = quote(vhosts_of(declared_of(instance))[0], safe="")
        user, password = quote(instance.user, safe=""), quote(instance.password.reveal(), safe="")
        return Secret(f"amqp://{user}:{password}@{instance.host}:{instance.port}/{vhost}")

    def variables(self, instance: Instance) -> Mapping[str, str | Secret]:
        return {
            "url": self.url(instance),
            "host": instance.host,
            "port": str(instance.port),
            "user": instance.user,
            "password": instance.password,
            "vhost": vhosts_of(declared_of(instance))[0],
        }

    def question(self, instance: Instance) -> Question:
        declared = declared_of(instance)
        vhosts = vhosts_of(declared)
        wanted = [[vhost, one.name, one.type] for vhost in vhosts for one in exchanges_of(declared, vhost)]
        return {
            "protocol": "amqp", "port": instance.port, "user": instance.user, "password": instance.password.reveal(),
            "vhosts": list(vhosts), "exchanges": wanted, "identity": instance.identity,
        }

    def probe(self, instance: Instance, timeout: float) -> Probe:
        """Log in to every vhost and look for the declared exchanges."""
        return ask(self.question(instance), timeout)

    def provision(self, instance: Instance, timeout: float) -> tuple[str, ...]:
        """Declare missing exchanges. A server that doesn't answer yet makes everything itself as it starts. Raises
        ProcessError where a vhost is missing: only a restart makes those."""
        probe = self.probe(instance, timeout)
        done: list[str] = []
        absent = [one for one in probe.missing if one.startswith("vhost ")]
        if absent:
            raise ProcessError(
                "vhost-missing", f"{instance.name} lacks {', '.join(absent)}",
                why="vhosts are made when the server starts", fix=f"devstack restart {instance.name}",
            )
        try:
            for vhost in vhosts_of(declared_of(instance)) if probe.ok and probe.missing else ():
                with session(instance, vhost, timeout / 4) as opened:
                    for one in _absent(opened, instance, vhost):
                        opened.channel().exchange_declare(one.name, one.type, durable=one.durable, auto_delete=False)
                        done.append(f"exchange {one.name} in {vhost}")
        except Exception as error:  # as in probe
            raise ProcessError(
                "provision-failed", f"{instance.name} could not be set up", why=_line(error),
                fix=f"devstack logs {instance.name}",
            ) from None
        return tuple(done)

    def client(self, instance: Instance, server: Server) -> Client:
        """rabbitmqctl, without its shell wrapper: as the node itself it finds its peer by the port, not by epmd."""
        (program, *others), env = _emulator(instance, server)
        home, dist = env["RABBITMQ_HOME"], str(instance.ports["dist"])
        argv = (
            *others, "+B", "-boot", "start_clean", "-noinput", "-noshell", "-hidden", "-start_epmd", "false",
            "-erl_epmd_port", dist, "-dist_listen", "false", "-run", "escript", "start",
            "-escript", "main", "rabbitmqctl_escript", "-extra", f"{home}/escript/rabbitmqctl",
        )  # fmt: skip
        return Client(
            (program,), (), argv, {**env, **_settings(instance)}, is_interactive=False,
            install="apt-get install rabbitmq-server",
        )

    @property
    def copies(self) -> Copies:
        return self

    def dump(self, instance: Instance, server: Server, runner: Runner) -> None:
        with _translated(instance):
            dump(instance, runner, self._control(instance, server))

    def load(self, instance: Instance, server: Server, runner: Runner) -> None:
        with _translated(instance):
            load(instance, runner, self._control(instance, server))

    def seed(self, instance: Instance, server: Server, runner: Runner) -> None:
        with _translated(instance):
            seed(instance, runner, self._control(instance, server))

    def plant(self, instance: Instance, server: Server, runner: Runner | None, scratch: Runner) -> None:
        with _translated(instance):
            plant(instance, runner, scratch, self._control(instance, server))

    def keep(self, instance: Instance, server: Server, runner: Runner, token: str) -> None:
        self.dump(instance, server, runner)

    def recall(self, instance: Instance, server: Server, kept: Kept, before: Kept) -> None:
        with _translated(instance):
            recall(instance, kept.runner, before.runner, self._control(instance, server))

    def spare(self, instance: Instance, server: Server, kept: Kept) -> None:
        """A copy is put back as quickly as it could be exchanged."""

    def export(self, instance: Instance, server: Server, kept: Kept, target: Runner) -> None:
        export(kept.runner, target)

    def adopt(self, instance: Instance, server: Server, source: Runner, version: str, kept: Kept) -> None:
        adopt(instance, source, kept.runner)

    def queues(self, declaration: Service, env: Mapping[str, str]) -> tuple[str, ...]:
        return ("every vhost",)

    def clear(self, instance: Instance, server: Server, before: Kept) -> None:
        with _translated(instance):
            clear(instance, before.runner, self._control(instance, server), only_messages=False)

    def drain(self, instance: Instance, server: Server, parts: Collection[str], before: Kept) -> None:
        with _translated(instance):
            clear(instance, before.runner, self._control(instance, server), only_messages=True)

    def sweep(self, instance: Instance, server: Server, kept: Collection[str], *, is_awaited: bool) -> None:
        """All of a copy is in its files."""

    def kept_size(self, instance: Instance, token: str) -> int:
        return 0

    def _control(self, instance: Instance, server: Server) -> Control:
        if instance.is_contained:
            return Control.inside(NODE)
        client = self.client(instance, server)
        env = {name: str(value) for name, value in client.env.items()}
        return Control.beside((client.programs[0], *client.argv), env, instance.ports["dist"], _cookie(instance))


# --- the declaration and its files ------------------------------------------------------------------------------------


def _is_fetched(server: Server) -> bool:
    return PurePosixPath(server.program).name == "erlexec"


def _is_known(server: Server) -> bool:
    return _is_fetched(server) and server.version == _KNOWN


def _emulator(instance: Instance, server: Server) -> tuple[tuple[str, ...], dict[str, str]]:
    """How Erlang is started, and where it and the server are."""
    if not _is_fetched(server):
        home = str(PurePosixPath(server.program).parent.parent)
        return ("/usr/bin/env", "erl"), {
            "PATH": "/usr/lib/erlang/bin:/opt/homebrew/opt/erlang/bin:/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin",
            "RABBITMQ_HOME": home,
            "ERL_LIBS": f"{home}/plugins",
            "RABBITMQ_PLUGINS_DIR": f"{home}/plugins",
        }
    # erl, a script, believes in the folder that the packages were made for
    home = f"{server.home}/rabbitmq"
    plugins = f"{instance.data}/plugins" if _is_known(server) else f"{home}/plugins"
    return (server.program,), {
        "ROOTDIR": f"{server.home}/erlang",
        "BINDIR": f"{server.home}/erts/bin",
        "EMU": "beam",
        "PROGNAME": "erl",
        "PATH": "/usr/bin:/bin",
        "RABBITMQ_HOME": home,
        "ERL_LIBS": plugins,
        "RABBITMQ_PLUGINS_DIR": plugins,
        **server.env,
    }


def _settings(instance: Instance) -> dict[str, str]:
    data = instance.data
    return {
        "HOME": data,
        "LANG": "C.UTF-8",
        "SYS_PREFIX": data,
        "ERL_MAX_ETS_TABLES": "50000",
        "ERL_MAX_PORTS": "65536",
        "ERL_CRASH_DUMP": "/dev/null",
        "RABBITMQ_NODENAME": NODE,
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(instance.port),
        "RABBITMQ_DIST_PORT": str(instance.ports["dist"]),
        "RABBITMQ_MNESIA_BASE": f"{data}/mnesia",
        "RABBITMQ_QUORUM_DIR": f"{data}/mnesia/quorum",
        "RABBITMQ_STREAM_DIR": f"{data}/mnesia/stream",
        "RABBITMQ_FEATURE_FLAGS_FILE": f"{data}/mnesia/feature_flags",
        "RABBITMQ_LOG_BASE": f"{data}/log",
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_PID_FILE": f"{data}/rabbit.pid",
        "RABBITMQ_CONFIG_FILE": f"{data}/rabbitmq",
        "RABBITMQ_ADVANCED_CONFIG_FILE": f"{data}/advanced.config",
        "RABBITMQ_CONF_ENV_FILE": f"{data}/rabbitmq-env.conf",
        "RABBITMQ_ENABLED_PLUGINS_FILE": f"{data}/enabled_plugins",
        "RABBITMQ_GENERATED_CONFIG_DIR": f"{data}/config",
    }


def _config(instance: Instance) -> str:
    definitions = (instance.data + "/definitions.json").replace("\\", "\\\\").replace('"', '\\"')
    return f'%% coding: utf-8\n[{{rabbit, [{{load_definitions, "{definitions}"}}]}}].\n'


def _cookie(instance: Instance) -> str:
    return hashlib.sha256(b"cookie" + instance.password.reveal().encode()).hexdigest()[:40].upper()


# --- talking to the server --------------------------------------------------------------------------------------------


def _absent(session: Any, instance: Instance, vhost: str) -> Iterator[Exchange]:
    from amqp.exceptions import NotFound

    for exchange in exchanges_of(declared_of(instance), vhost):
        try:
            # the server closes a channel on which it refused something
            session.channel().exchange_declare(exchange.name, exchange.type, passive=True)
        except NotFound:
            yield exchange


@contextlib.contextmanager
def _translated(instance: Instance) -> Iterator[None]:
    """Raises ProcessError for what the client library raises."""
    try:
        yield
    except DevstackError:
        raise
    except Exception as error:  # as in provision
        raise ProcessError(
            "copy-failed", f"the data of {instance.name} can't be copied", why=_line(error),
            fix=f"devstack logs {instance.name}",
        ) from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


KIND: Kind = RabbitMQKind()
