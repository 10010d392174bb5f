"""Files whose content Git LFS holds: which are still pointers, and putting the content in place."""

from __future__ import annotations

import shlex
from pathlib import Path

from devstack.checkout.failures import clone_error
from devstack.checkout.git import Git, Say
from devstack.errors import NetworkError, PrerequisiteError
from devstack.system import System

#: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md: a pointer begins so and is shorter than 1024 bytes
_POINTER = b"version https://git-lfs.github.com/spec/v1\n"
_LONGEST = 1024
_FILTER = "filter=lfs"


def pointers(git: Git, root: Path) -> tuple[str, ...]:
    """Paths of the files that are only pointers."""
    return tuple(path for path in _held(git, root) if _is_pointer(git, root / path))


def has_any(system: System, root: Path) -> bool:
    """`git lfs track` writes into the attributes at the root; those in folders are read where these say so."""
    return (root / ".git").exists() and _FILTER in (system.read(root / ".gitattributes") or "")


def sources(git: Git, root: Path) -> tuple[Path, ...]:
    """Files that the answer of `pointers` is read from."""
    return (root / ".gitattributes", *(folder / "index" for folder in git.folders(root)), *(
        root / path for path in _held(git, root)
    ))


def pull(git: Git, root: Path, paths: tuple[str, ...], say: Say) -> None:
    """Fetch the content and put it in place. Raises PrerequisiteError, NetworkError, StorageError."""
    where = shlex.quote(str(root))
    if git.which("git-lfs") is None:
        raise PrerequisiteError(
            "lfs-missing", f"git-lfs is not installed, and {_few(paths)} only point to what it holds",
            why="the content of large files is kept apart from the repository",
            fix="sudo apt-get install git-lfs  (dnf install git-lfs, brew install git-lfs; or lfs = false below "
            "[project])",
        )
    if git.ask("config", "--get", "filter.lfs.process", cwd=root).returncode != 0:
        # without its filters in some configuration `git lfs pull` fetches, puts nothing in place, and says 0
        git.work(["lfs", "install", "--local", "--skip-repo"], root, say)
    done = git.work(["lfs", "pull"], root, say)
    left = tuple(path for path in paths if _is_pointer(git, root / path))
    fix = f"git -C {where} lfs install --local && git -C {where} lfs pull"
    if done.returncode != 0 or done.timed_out:
        cause = clone_error(str(root), done, git.stall)
        raise NetworkError(
            "lfs-failed", f"git lfs pull failed, {_few(left or paths)} are not there",
            why=cause.why or f"exit status {done.returncode}", evidence=done.last_lines(8), fix=fix,
        )
    if left:
        raise PrerequisiteError(
            "lfs-incomplete", f"git lfs pull put nothing in place of {_few(left)}",
            why="it ended as if all were well, but they are pointers still", evidence=done.last_lines(8), fix=fix,
        )


def _held(git: Git, root: Path) -> tuple[str, ...]:
    """Paths that have the filter of LFS."""
    if not has_any(git.system, root):
        return ()
    listed = git.ask("ls-files", "-z", "--", f":(attr:{_FILTER})", cwd=root).stdout.split("\0")
    return tuple(path for path in listed if path)


def _is_pointer(git: Git, path: Path) -> bool:
    if path.is_symlink() or not path.is_file() or path.stat().st_size >= _LONGEST:
        return False
    return (git.system.read_bytes(path) or b"").startswith(_POINTER)


def _few(paths: tuple[str, ...]) -> str:
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return f"{', '.join(paths[:3])}{more}"
