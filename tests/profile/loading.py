"""What the tests of the profile share: loading texts, and the mistakes as lines."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from devstack import services
from devstack.errors import ProfileError
from devstack.profile import Fields, Loaded, Profile, SourceFile, load
from devstack.profile.source import Origin

PROFILES = Path(__file__).resolve().parents[2] / "profiles"


def project(text: str | bytes, name: str = "devstack.toml", origin: Origin = "project") -> SourceFile:
    return SourceFile(name, text, origin)


def shipped(name: str) -> SourceFile:
    return SourceFile(name, (PROFILES / f"{name}.toml").read_bytes(), "shipped")


def loaded(*files: SourceFile, fields: Mapping[str, Fields] | None = None) -> Loaded:
    return load(files, services.declarations(), fields=fields)


def profile_of(*texts: str) -> Profile:
    """The profile of these texts, lowest precedence first; the first gets a name."""
    files = [project(text, f"{number}.toml") for number, text in enumerate(texts)]
    return load(files, services.declarations(), default_name="stack").profile


def mistakes_of(*texts: str | bytes) -> list[str]:
    """Every mistake as people read it; one text is devstack.toml, several are 0.toml, 1.toml …"""
    names = ["devstack.toml"] if len(texts) == 1 else [f"{number}.toml" for number in range(len(texts))]
    files = [project(text, name) for name, text in zip(names, texts, strict=True)]
    with pytest.raises(ProfileError) as caught:
        load(files, services.declarations(), default_name="stack")
    return [str(mistake) for mistake in caught.value.mistakes]
