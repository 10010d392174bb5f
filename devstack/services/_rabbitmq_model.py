"""What is declared of a RabbitMQ, and how the server is told of it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from devstack.profile.model import Model, Service, one_or_many
from devstack.profile.secret import Secret
from devstack.services import Instance

#: before the node boots: Erlang's own libraries are there already, and name no modules (0047). Only a server has
#: `-syslog`; what else starts in its container, rabbitmqctl for one, has the same environment.
BEGINNING = (
    "error=/=init:get_argument(syslog)andalso[application:load({application,A,lists:keystore(modules,1,P,{modules,[]})})"
    "||D<-code:get_path(),string:find(D,\"/plugins/\")=:=nomatch,F<-filelib:wildcard(D++\"/*.app\"),"
    "{ok,[{application,A,P}]}<-[file:consult(F)],not(lists:member(A,[mnesia,ssl]))]."
)
#: once the node is asked to end and all that writes has closed its files, it ends: the emulator would take its time for
#: a second more (measured: 1.1 s, of which 0.02 s are the server's). Without a blank, since a start script splits it.
ENDING = (
    "F=fun(F)->timer:sleep(20),(case(init:get_status())of{stopping,_}->W=fun(W)->"
    "(case([P||P<-[rabbit_sup,ra_sup,mnesia_sup],whereis(P)=/=undefined])of[]->erlang:halt(0);"
    "_->timer:sleep(5),W(W)end)end,W(W);_->F(F)end)end,spawn(fun()->F(F)end)."
)
#: for the official image's start script. Schedulers that wait busily would burn the processors that others start on
IN_CONTAINER = {
    "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"+sbwt none +sbwtdcpu none +sbwtdio none -eval {ENDING}",
    "ERL_AFLAGS": f"-eval '{BEGINNING}'",
}
ShortName = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,127}$")]


class Exchange(Model):
    """An entry of `exchanges`."""

    name: ShortName
    type: Literal["topic", "direct", "fanout", "headers"] = "topic"
    vhost: ShortName | None = None
    """Where it is; left out: the first vhost."""
    durable: bool = True
    """It outlives a restart."""


class RabbitMQ(Service):
    """`[services.rabbitmq]`."""

    vhosts: Annotated[tuple[ShortName, ...], BeforeValidator(one_or_many)] = ()
    """Virtual hosts, all open to the application's user; the first is the one in the URL. Left out: `/`."""
    exchanges: tuple[Exchange, ...] = ()
    """Exchanges that must exist before anything publishes to them."""

    @model_validator(mode="after")
    def _exchanges_have_vhosts(self) -> RabbitMQ:
        for exchange in self.exchanges:
            if exchange.vhost not in (None, *vhosts_of(self)):
                raise ValueError(f"exchange {exchange.name}: no vhost is named {exchange.vhost!r}")
        return self


def declared_of(instance: Instance) -> RabbitMQ:
    declaration = instance.declaration
    return declaration if isinstance(declaration, RabbitMQ) else RabbitMQ.model_validate(declaration.model_dump())


def vhosts_of(declaration: RabbitMQ) -> tuple[str, ...]:
    return declaration.vhosts or ("/",)


def exchanges_of(declaration: RabbitMQ, vhost: str) -> Iterator[Exchange]:
    first = vhosts_of(declaration)[0]
    return (one for one in declaration.exchanges if (one.vhost or first) == vhost)


def definitions(instance: Instance, version: str) -> str:
    """Topology as the server exports and imports it (rabbitmq.com/docs/definitions)."""
    declared = declared_of(instance)
    vhosts = vhosts_of(declared)
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    topology: dict[str, Any] = {
        **({"rabbit_version": version} if version else {}),
        "users": [{
            "name": instance.user, "password_hash": password_hash(instance.password),
            "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": "administrator", "limits": {},
        }],
        "vhosts": [{"name": vhost} for vhost in vhosts],
        "permissions": [{"user": instance.user, "vhost": vhost, **everything} for vhost in vhosts],
        "topic_permissions": [], "parameters": [], "policies": [], "queues": [], "bindings": [],
        "global_parameters": [{"name": "cluster_name", "value": instance.identity}],
        "exchanges": [
            {
                "name": one.name, "vhost": vhost, "type": one.type, "durable": one.durable, "auto_delete": False,
                "internal": False, "arguments": {},
            }
            for vhost in vhosts for one in exchanges_of(declared, vhost)
        ],
    }  # fmt: skip
    return json.dumps(topology, indent=1) + "\n"


def password_hash(password: Secret) -> str:
    """rabbit_password_hashing_sha256: base64 of a 4-byte salt and the SHA-256 of salt and password. The salt comes from
    the password, since the file must be the same every time; both are random."""
    text = password.reveal().encode()
    salt = hashlib.sha256(b"salt" + text).digest()[:4]
    return base64.b64encode(salt + hashlib.sha256(salt + text).digest()).decode()


@contextlib.contextmanager
def session(instance: Instance, vhost: str, each: float) -> Iterator[Any]:
    """A connection to one vhost; every wait of it takes `each` seconds at most."""
    from amqp import Connection

    connection = Connection(
        f"127.0.0.1:{instance.port}", instance.user, instance.password.reveal(), login_method="PLAIN",
        virtual_host=vhost, connect_timeout=each, read_timeout=each, write_timeout=each, heartbeat=0,
    )
    try:
        connection.connect()
        yield connection
    finally:
        with contextlib.suppress(Exception):
            connection.close()
