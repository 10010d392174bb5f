"""The tables of docs/reliability.md, between its two markers. Pure, apart from `write`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parent.parent / "docs" / "reliability.md"
_BEGIN, _END = "<!-- seen -->", "<!-- end -->"
_COUNTS = ("points", "killed", "recovered", "lost", "orphans", "decoys")
#: a path of the machine; its last name tells enough
_PLACE = re.compile(r"/(?:tmp|root|home)/(?:[^\s;]*/)?([^\s;/]*)")
#: answers of one fault that are shown
_SHOWN = 3


@dataclass(frozen=True)
class Told:
    """What one test has seen. about: what it does, where that is written. answers: exit code, id, command. broken: how
    it broke the demo, and what mended it."""

    test: str
    outcome: str
    faults: tuple[str, ...]
    about: str = ""
    answers: tuple[tuple[int, str, str], ...] = ()
    sweep: Mapping[str, Any] | None = None
    broken: Mapping[str, Any] | None = None

    @property
    def name(self) -> str:
        """The test's name as words."""
        words = self.test.rpartition("::")[2].partition("[")[0]
        return words.removeprefix("test_").replace("_", " ")


@dataclass(frozen=True)
class Thrown:
    """One fault, as several contenders met it: what was seen, by contender; what begins with `✗` is a harm."""

    fault: str
    seen: Mapping[str, str]


def parse(lines: Iterable[str]) -> list[Told]:
    """Of the lines that the plugin wrote; of a test that was heard twice the last counts."""
    found: dict[str, Told] = {}
    for line in lines:
        raw = json.loads(line)
        answers = tuple((code, name, fix) for code, name, fix in map(json.loads, raw["answers"]))
        found[raw["test"]] = Told(
            raw["test"], raw["outcome"], tuple(raw["faults"]), raw["about"], answers, raw.get("sweep"),
            raw.get("broken"),
        )
    return list(found.values())


def text(told: Sequence[Told], faults: Mapping[str, str], thrown: Sequence[Thrown], head: str) -> str:
    """faults: the catalogue, name by id. head: when and where it was seen."""
    lines = [head, "", *_sweep(told), *_broken(told), *_rivals(thrown), *_catalogue(told, faults)]
    return "\n".join(lines) + "\n"


def write(tables: str) -> None:
    """Replace what was seen before."""
    before, _, rest = TARGET.read_text(encoding="utf-8").partition(_BEGIN)
    after = rest.partition(_END)[2]
    TARGET.write_text(f"{before}{_BEGIN}\n{tables}{_END}{after}", encoding="utf-8")


def _sweep(told: Sequence[Told]) -> list[str]:
    verbs: dict[str, dict[str, Any]] = {}
    for one in told:
        if one.sweep:
            row = verbs.setdefault(one.sweep["verb"], dict.fromkeys(_COUNTS, 0) | {"slowest": 0.0})
            for count in _COUNTS:
                # every part of a sweep has counted the same points of the undisturbed run
                both = (row[count], one.sweep[count])
                row[count] = max(both) if count == "points" and one.sweep["verb"] != "at random times" else sum(both)
            row["slowest"] = max(row["slowest"], one.sweep["slowest"])
    if not verbs:
        return []
    heads = ("killed", "points", "times killed", "recovered", "rows lost", "orphans", "strangers ended", "slowest")
    lines = ["**Killed at any moment**", "", *_head(heads)]
    for verb, row in verbs.items():
        lines.append(_line((f"`{verb}`", *(str(row[count]) for count in _COUNTS), f"{row['slowest']:.1f} s")))
    total = {count: sum(row[count] for row in verbs.values()) for count in _COUNTS}
    return [*lines, _line(("**all**", *(f"**{total[count]}**" for count in _COUNTS), "")), ""]


def _broken(told: Sequence[Told]) -> list[str]:
    by_state: dict[tuple[str, str], dict[str, Told]] = {}
    for one in told:
        if one.broken:
            key = (str(one.broken["sort"]), str(one.broken["state"]))
            by_state.setdefault(key, {})[str(one.broken["runtime"])] = one
    if not by_state:
        return []
    rows = [(runtime, one) for found in by_state.values() for runtime, one in found.items()]
    counts = [
        f"{sum(runtime == name and one.outcome == 'passed' for runtime, one in rows)} of "
        f"{sum(runtime == name for runtime, _ in rows)} {words}"
        for name, words in (("native", "natively"), ("docker", "with the servers in containers"))
    ]
    slowest = max(float(one.broken["seconds"]) for _, one in rows if one.broken)
    whole = f"brought back to an order that ships, with the work of before: {' and '.join(counts)}"
    lines = [
        f"**The demo, broken**: {whole}; `doctor` took {slowest:.1f} s at most.", "",
        *_head(("broken", "state", "named", "healed by", "doctor, natively", "in containers")),
    ]
    for (sort, state), found in by_state.items():
        seen = [one.broken for one in found.values() if one.broken]
        named = dict.fromkeys(f"`{one['named']}`" for one in seen)
        healed = dict.fromkeys(", ".join(map(_typed, dict.fromkeys(one["healed"]))) for one in seen)
        cells = (sort, state, " or ".join(named), "<br>".join(healed))
        lines.append(_line((*cells, *(_seconds(found.get(name)) for name in ("native", "docker")))))
    return [*lines, ""]


def _typed(act: str) -> str:
    """A command as one, and what a person does as words."""
    return f"`{_plain(act)}`" if act.startswith(("devstack ", "docker ", "rm ")) else act


def _seconds(one: Told | None) -> str:
    if one is None or not one.broken:
        return "–"
    return f"{one.broken['seconds']:.1f} s" if one.outcome == "passed" else "**failed**"


def _rivals(thrown: Sequence[Thrown]) -> list[str]:
    if not thrown:
        return []
    names = list(dict.fromkeys(name for one in thrown for name in one.seen))
    lines = ["**The same fault, thrown at others**", "", *_head(("fault", *names))]
    lines += [_line((one.fault, *(one.seen.get(name, "–") for name in names))) for one in thrown]
    return [*lines, ""]


def _catalogue(told: Sequence[Told], faults: Mapping[str, str]) -> list[str]:
    by_fault: dict[str, list[Told]] = {name: [one for one in told if name in one.faults] for name in faults}
    seen = {name: found for name, found in by_fault.items() if found}
    if not seen:
        return []
    injected = sum(bool(one.faults) for one in told)
    good = sum(all(one.outcome == "passed" for one in found) for found in seen.values())
    lines = [
        f"**Faults**: {len(seen)} injected by {injected} tests, {good} of them seen to end as they must.", "",
        *_head(("", "fault", "injected: what the tests do", "answered: exit code, id, command", "seen")),
    ]
    for name, found in sorted(seen.items(), key=lambda item: (item[0][0], int(item[0][1:]))):
        failed = [one for one in found if one.outcome != "passed"]
        verdict = f"**{len(failed)} of {len(found)} failed**" if failed else f"✓ {len(found)}"
        lines.append(_line((name, faults[name], _injected(found), _answered(found), verdict)))
    return [*lines, ""]


def _injected(found: Sequence[Told]) -> str:
    names = list(dict.fromkeys(one.name for one in found))
    more = f"; {len(names) - 2} more" if len(names) > 2 else ""
    return "; ".join(names[:2]) + more


def _answered(found: Sequence[Told]) -> str:
    answers = {(code, name): fix for one in found for code, name, fix in one.answers}
    if not answers:
        return "put right, or refused without harm"
    shown = [
        f"{code} `{name}`{f' → `{_plain(fix)}`' if fix else ''}" for (code, name), fix in list(answers.items())[:_SHOWN]
    ]
    return "<br>".join(shown)


def _plain(fix: str) -> str:
    """Without what differs from machine to machine."""
    words = _PLACE.sub(r"…/\1", " ".join(fix.split()))
    return words.replace("`", "'").replace("|", "\\|")[:90]


def _head(cells: Sequence[str]) -> list[str]:
    return [_line(cells), _line("---" for _ in cells)]


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
