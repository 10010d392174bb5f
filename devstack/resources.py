"""What devstack ships (profiles, the Procfile template, the demo): in the wheel, or at the root of a checkout."""

from __future__ import annotations

from pathlib import Path


def shared(name: str) -> Path:
    """Path of a shipped file or folder, such as `profiles` or `Procfile.template`."""
    package = Path(__file__).resolve().parent
    packed = package / "share" / name
    return packed if packed.exists() else package.parent / name


def shipped_profiles() -> tuple[str, ...]:
    """Names that `extends` and `--profile` take."""
    found = (path.stem for path in shared("profiles").glob("*.toml"))
    return tuple(sorted(name for name in found if name != "reference"))
