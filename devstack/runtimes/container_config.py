"""A container as the engine's API is told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from devstack.contained import Contained
from devstack.render import reveal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from docker import APIClient

_LOG = {"max-size": "10m", "max-file": "3"}
#: how often one that fails right away is started again
_TRIES = 5


def config(
    api: APIClient, place: str, wanted: Contained, labels: Mapping[str, str], *, is_podman: bool
) -> dict[str, Any]:
    """The body of the call that makes it. place: its network. Ports are published on 127.0.0.1 only."""
    host = api.create_host_config(
        port_bindings={inside: ("127.0.0.1", port) for port, inside in wanted.ports.items()},
        binds=[f"{volume}:{folder}" for volume, folder in wanted.volumes.items()],
        # unlike `binds`, a path with a colon is no trouble, and one that isn't there is an error
        mounts=[_mount(one.source, one.target, is_read_only=one.is_read_only) for one in wanted.binds],
        network_mode=place, mem_limit=wanted.memory or None, restart_policy=_restart(wanted),
        security_opt=["no-new-privileges"],
        # a command that isn't made for it ignores TERM as process 1, and leaves its children's zombies; who has made an
        # image with an entrypoint has thought of that, or brings an init that bears no other
        init=None if _has_entrypoint(api, wanted.image) else True,
        log_config=None if is_podman else {"Type": "json-file", "Config": _LOG},
    )
    made: dict[str, Any] = api.create_container_config(
        image=wanted.image, command=list(wanted.command) or None, hostname=wanted.hostname or None,
        environment={name: reveal(value) for name, value in wanted.env.items()},
        ports=list(wanted.ports.values()), host_config=host, working_dir=wanted.cwd or None, user=wanted.user or None,
        stop_signal=f"SIG{wanted.stop_signal}" if wanted.stop_signal else None,
        stop_timeout=max(1, round(wanted.stop_grace)), labels=dict(labels),
        networking_config=api.create_networking_config({
            place: api.create_endpoint_config(aliases=list(wanted.aliases)),
        }),
    )  # fmt: skip
    return made


def _has_entrypoint(api: APIClient, image: str) -> bool:
    return bool((api.inspect_image(image)["Config"] or {}).get("Entrypoint"))


def _restart(wanted: Contained) -> dict[str, Any]:
    """Who dies is started again. A service isn't by an engine that comes back: then a person says `up`."""
    if wanted.restart == "never":
        return {"Name": "no"}
    if wanted.is_service or wanted.restart == "on-failure":
        return {"Name": "on-failure", "MaximumRetryCount": _TRIES}
    return {"Name": "always"}


def _mount(source: str, target: str, *, is_read_only: bool) -> dict[str, Any]:
    return {"Type": "bind", "Source": source, "Target": target, "ReadOnly": is_read_only}
