"""Keys of a service that nothing of a profile stands for: why, and what to do instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devstack.detect.compose.report import Report
from devstack.detect.compose.shapes import Composed

_LIMITS = ("containers get what the engine gives by itself", "run it with docker, and give its address in [env]")
_NAMES = ("names of your own aren't known to its containers", "give the address itself in [env]")
_MOUNTED = ("it isn't mounted", "an entry of [files] makes such a file; a path in [env] says where it is")
#: by key: for what runs in a container
_CONTAINED: Mapping[str, tuple[str, str]] = {
    "network_mode": ("its containers are on the stack's own network", "reach others by `${services.NAME.host}`"),
    **dict.fromkeys((
        "privileged", "cap_add", "devices", "device_cgroup_rules", "gpus", "runtime", "security_opt", "sysctls",
        "ulimits", "shm_size", "userns_mode", "pid", "ipc", "cgroup", "cgroup_parent", "group_add", "oom_score_adj",
        "cpus", "cpuset", "cpu_shares", "storage_opt", "volumes_from", "use_api_socket", "models", "provider",
    ), _LIMITS),
    **dict.fromkeys(("extra_hosts", "dns", "dns_search", "dns_opt", "external_links", "mac_address"), _NAMES),
    "tmpfs": ("folders in memory aren't made", "a volume below `volumes`"),
    "platform": ("the engine takes the image of its own platform", "set DOCKER_DEFAULT_PLATFORM"),
    "user": ("its image says who it runs as", "an image that says so: `build` with USER"),
    "post_start": ("hooks don't run", "a task"),
    "pre_stop": ("hooks don't run", "let the process do it when it gets its signal"),
    "credential_spec": _LIMITS,
}  # fmt: skip
_EVERYWHERE: Mapping[str, tuple[str, str]] = {
    "secrets": _MOUNTED,
    "configs": _MOUNTED,
    "develop": ("what `docker compose watch` does isn't done", "`watch = [\"app/**/*.py\"]` restarts a process"),
}
_DEPLOYED = frozenset({"replicas", "resources", "restart_policy", "mode", "labels"})


def drop_unsupported(service: Composed, report: Report, *, is_contained: bool, is_kind: bool = False) -> None:
    """Tell what of a service stays behind. is_kind: devstack sets it up itself, so that how doesn't matter."""
    table = {} if is_kind else {**_EVERYWHERE, **(_CONTAINED if is_contained else {})}
    for key, value in service.values.items():
        if key in table and value not in (None, [], {}, "", "false"):
            report.drop((service.name, key), *table[key])
    _labels(service, report)
    _deploy(service, report)
    networks = service.values.get("networks")
    for network, settings in networks.items() if isinstance(networks, dict) else ():
        if isinstance(settings, dict) and any(key.startswith("ipv") for key in settings):
            report.drop((service.name, "networks", network), "addresses aren't fixed", "use its name")


def _labels(service: Composed, report: Report) -> None:
    labels = service.values.get("labels")
    if isinstance(labels, dict) and any(name.startswith(("traefik.", "caddy")) for name in labels):
        report.drop((service.name, "labels"), "there is no proxy that reads them", "`devstack urls` says where it is")


def _deploy(service: Composed, report: Report) -> None:
    deploy: Any = service.values.get("deploy")
    others = [key for key in deploy if key not in _DEPLOYED] if isinstance(deploy, dict) else []
    if others:
        report.drop((service.name, "deploy"), f"{', '.join(others)}: of a cluster only", "leave it to the compose file")


def drop_top_level(value: Mapping[str, Any], report: Report) -> None:
    """Volumes and networks of other projects."""
    for section, why, instead in (
        ("volumes", "data of a volume that others made isn't taken over", "load it with a task, or `devstack shell`"),
        ("networks", "a network of another project can't be reached by name", "give the address itself in [env]"),
    ):
        table = value.get(section)
        for name, settings in table.items() if isinstance(table, dict) else ():
            if isinstance(settings, dict) and settings.get("external") not in (None, "false"):
                report.drop_at((section, name), why, instead)
