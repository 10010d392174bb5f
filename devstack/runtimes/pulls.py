"""Getting images: with progress by layers, given up when nothing comes any more, taken up again where it stopped.

The SDK's own `pull` can't be stopped at a deadline, and its caller never learns of an error in the middle: such errors
come as events of a stream that began well. An engine keeps the layers that it has, so another try goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from devstack.errors import DevstackError, NetworkError, StorageError, UsageError
from devstack.runtimes.docker import Engine
from devstack.runtimes.engine_answers import unavailable
from devstack.runtimes.event_streams import Event, events, message

if TYPE_CHECKING:
    from requests import Response

#: seconds without a byte, or a word but "retrying", after which a try is over
_SILENCE = 60.0
_TRIES = 3
#: seconds for asking a registry, by way of the engine, whether it has an image
_ASKING = 6.0
_MB = 1_000_000
_ELSE = "devstack up --runtime native"

OnLine = Callable[[str], None]


@dataclass
class _Progress:
    """Bytes of each layer: how many are here, and of how many where that is known."""

    layers: dict[str, tuple[int, int]] = field(default_factory=dict)
    extracting: set[str] = field(default_factory=set)

    def take(self, event: Event) -> bool:
        """Whether the event is a step forward."""
        layer, status, detail = event.get("id", ""), event.get("status", ""), event.get("progressDetail") or {}
        if status == "Downloading" and detail.get("current"):
            before = self.layers.get(layer, (0, 0))
            self.layers[layer] = (int(detail["current"]), int(detail.get("total") or before[1]))
            return self.layers[layer] != before
        if status in ("Download complete", "Pull complete") and layer in self.layers:
            self.layers[layer] = (self.layers[layer][1],) * 2
        if status == "Extracting":
            self.extracting.add(layer)
        return not status.startswith(("Retrying", "Waiting"))

    def __str__(self) -> str:
        here, whole = (sum(column) for column in zip(*self.layers.values(), strict=True)) if self.layers else (0, 0)
        if self.extracting and here >= whole:
            return "unpacking"
        return f"{here // _MB} of {whole // _MB} MB" if whole else "asking"


def pull(engine: Engine, image: str, say: OnLine, tell: OnLine) -> None:
    """Have the engine get an image. say: how far it is; tell: what everybody should read.

    Raises UsageError for an image that nobody has, NetworkError, StorageError, InterruptedRunError.
    """
    for number in range(1, _TRIES + 1):
        try:
            _one_try(engine, image, say)
        except NetworkError as error:
            if number == _TRIES or error.id != "pull-failed":
                raise
            tell(f"getting {image} broke off ({error.why}); once more")
            engine.system.pause(number)
        else:
            return


def reachable(engine: Engine, image: str) -> str:
    """Why the engine can't get an image, "" where its registry has it. Asks for the description alone."""
    import requests

    try:
        answer = _get(engine, f"/distribution/{image}/json")
    except requests.exceptions.RequestException as error:
        return "its registry doesn't answer" if "timed out" in str(error).lower() else " ".join(str(error).split())
    if answer.status_code in (200, 404) and engine.is_podman:
        # Podman doesn't offer the question; the pull itself will tell
        return ""
    return "" if answer.status_code == 200 else message(answer)


def _one_try(engine: Engine, image: str, say: OnLine) -> None:
    import requests

    progress = _Progress()
    try:
        for event in events(engine.system, lambda: _post(engine, image), _SILENCE, progress.take):
            if said := event.get("error") or (event.get("errorDetail") or {}).get("message"):
                raise _error(engine, image, str(said))
            say(f"{image}: {progress}")
    except TimeoutError as error:
        raise _broken_off(image, str(error)) from None
    except (requests.exceptions.RequestException, OSError, ValueError) as error:
        raise _broken_off(image, f"the engine broke off: {error}") from None
    if not engine.image(image):
        raise _error(engine, image, "the engine says it is done and hasn't got it")


def _broken_off(image: str, why: str) -> NetworkError:
    return NetworkError("pull-failed", f"the image {image} doesn't come", why=why, fix=_ELSE)


def _post(engine: Engine, image: str) -> Response:
    import requests
    from docker import auth

    registry, _ = auth.resolve_repository_name(image.partition("@")[0])
    header = auth.get_config_header(engine.api, registry)
    headers = {"X-Registry-Auth": header} if header else {}
    try:
        # the engine asks the registry before it answers; how long that takes it decides itself
        answer: Response = engine.api.post(
            _url(engine, "/images/create"), params={"fromImage": image}, headers=headers, stream=True,
            timeout=(_ASKING, None),
        )
    except requests.exceptions.RequestException as error:
        raise unavailable(engine.address, str(error)) from None
    return answer


def _get(engine: Engine, path: str) -> Response:
    answer: Response = engine.api.get(_url(engine, path), timeout=_ASKING)
    return answer


def _url(engine: Engine, path: str) -> str:
    return f"{engine.api.base_url}/v{engine.api.api_version}{path}"


def _error(engine: Engine, image: str, said: str) -> DevstackError:
    low = said.lower()
    what = f"the image {image} can't be had"
    if "manifest unknown" in low or "not found" in low or "no such image" in low:
        return UsageError("image-unknown", what, why=said, fix="change `version` or `image` in the profile")
    if "denied" in low or "unauthorized" in low or "authentication required" in low or "auth credentials" in low:
        return NetworkError("image-refused", what, why=said, fix=f"{engine.program} login {_registry(image)}".rstrip())
    if "toomanyrequests" in low or "rate limit" in low:
        return NetworkError("rate-limited", what, why=said, fix=f"{engine.program} login {_registry(image)}".rstrip())
    if "no space left" in low:
        return StorageError("disk-full", what, why=said, fix=f"{engine.program} system df")
    if "no match for platform" in low or "no matching manifest" in low:
        return UsageError("image-platform", what, why=said, fix="change `image` in the profile")
    return NetworkError("pull-failed", what, why=said, fix=_ELSE)


def _registry(image: str) -> str:
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first) else ""

