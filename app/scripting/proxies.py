"""Stand-ins for the session, the scene, the photos and the recipe: reading and calling happens between steps, and what
comes back is a copy that a step cannot change."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from app.scripting.driver import Driver
from engine.errors import RecipeError, UnrenderError

PLAIN = (str, bytes, int, float, complex, bool, type(None), Path, np.generic)


def copied(value: Any) -> tuple[bool, Any]:
    """(whether `value` is data that can leave its thread, its copy with tensors as arrays)."""
    if isinstance(value, PLAIN):
        return True, value
    if isinstance(value, np.ndarray):
        return True, value.copy()
    if hasattr(value, "detach") and hasattr(value, "numpy"):  # a tensor; torch may not be loaded here
        return True, value.detach().cpu().numpy().copy()
    if isinstance(value, (tuple, list, set, frozenset)):
        parts = [copied(item) for item in value]
        if hasattr(value, "_fields"):
            return all(done for done, _ in parts), type(value)(*(item for _, item in parts))
        return all(done for done, _ in parts), type(value)(item for _, item in parts)
    if isinstance(value, dict):
        parts = {key: copied(item) for key, item in value.items()}
        return all(done for done, _ in parts.values()), {key: item for key, (_, item) in parts.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and value.__dataclass_params__.frozen:
        fields = {item.name: copied(getattr(value, item.name)) for item in dataclasses.fields(value)}
        if all(done for done, _ in fields.values()):
            twin = copy.copy(value)
            for name, (_, item) in fields.items():
                object.__setattr__(twin, name, item)
            for name in set(vars(twin)) - set(fields):  # cached properties may hold what is in use
                del twin.__dict__[name]
            return True, twin
    return False, value


class Remote:
    """An object of the run, reached between steps: `call(f)` runs `f(object)` there. Data comes back as copies, other
    objects as another stand-in."""

    def __init__(self, call: Callable[[Callable[[Any], Any]], Any], name: str) -> None:
        object.__setattr__(self, "_call", call)
        object.__setattr__(self, "_name", name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name.startswith("_repr_") or name.startswith("_ipython_"):
            raise AttributeError(name)
        return self._read(lambda target: getattr(target, name), f"{self._name}.{name}")

    def _read(self, read: Callable[[Any], Any], name: str) -> Any:
        def there(target: Any) -> tuple[bool, Any]:
            done, value = copied(read(target))
            return done, value if done else None

        done, value = self._call(there)
        return value if done else Remote(lambda use: self._call(lambda target: use(read(target))), name)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        def there(target: Any) -> tuple[bool, Any]:
            return copied(target(*arguments, **named))

        done, value = self._call(there)
        return value if done else Remote(lambda use: self._call(lambda _target: use(value)), f"{self._name}(...)")

    def __getitem__(self, key: Any) -> Any:
        return self._read(lambda target: target[key], f"{self._name}[{key!r}]")

    def __len__(self) -> int:
        return self._call(len)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __setattr__(self, name: str, value: Any) -> None:
        raise UnrenderError(
            f"{self._name}.{name} cannot be set from here; use set_option for options, or "
            f"call(lambda session: ...) to change the run between steps"
        )

    def __dir__(self) -> list[str]:
        try:
            return [name for name in self._call(dir) if not name.startswith("_")]
        except UnrenderError:
            return []

    def __repr__(self) -> str:
        try:
            return f"<{self._name}: {self._call(lambda target: type(target).__name__)}, read between steps>"
        except UnrenderError as error:
            return f"<{self._name}: {error}>"


class Recipe:
    """Options as attributes: read `recipe.refine.ssim`, set it (`recipe.refine.ssim = 0.3`), or by key,
    `recipe["refine.ssim"]`."""

    def __init__(self, driver: Driver, prefix: str = "") -> None:
        object.__setattr__(self, "_driver", driver)
        object.__setattr__(self, "_prefix", prefix)

    def _section(self) -> Any:
        section = self._driver.recipe()
        for name in self._prefix.split(".")[:-1]:
            section = getattr(section, name)
        return section

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        section = self._section()
        if not hasattr(section, name):
            from engine.optimize.options import find_option

            find_option(self._driver.recipe(), f"{self._prefix}{name}")  # raises, naming the nearest
            raise RecipeError(f"unknown option {self._prefix}{name}")
        value = getattr(section, name)
        return Recipe(self._driver, f"{self._prefix}{name}.") if dataclasses.is_dataclass(value) else value

    def __setattr__(self, name: str, value: Any) -> None:
        self._driver.set_option(f"{self._prefix}{name}", value)

    def __getitem__(self, key: str) -> Any:
        from engine.optimize.options import find_option

        return find_option(self._driver.recipe(), f"{self._prefix}{key}").value

    def __setitem__(self, key: str, value: Any) -> None:
        self._driver.set_option(f"{self._prefix}{key}", value)

    def __dir__(self) -> list[str]:
        return [item.name for item in dataclasses.fields(self._section())]

    def __repr__(self) -> str:
        from engine.optimize.options import to_toml

        return to_toml(self._section()).rstrip()


class SessionRemote(Remote):
    """Stands for the run; stepping it is left to its driver."""

    def __init__(self, driver: Driver) -> None:
        super().__init__(driver.call, "session")
        object.__setattr__(self, "_driver", driver)

    def step(self) -> Any:
        """One iteration; its report."""
        return self._driver.step(1)

    def run(self, until: int | None = None) -> bool:
        """Step until all is done or `total_step` reaches `until`; whether all is done."""
        return self._driver.run(until, True)

    def call(self, function: Callable[[Any], Any]) -> Any:
        """`function(session)` between two steps; its result."""
        return self._driver.call_script(function)

    def close(self) -> None:
        """Refused: the run belongs to the program that runs the script."""
        raise UnrenderError("a script cannot close the run; pause() holds it, new_run(folder) begins another one")


def scene_remote(driver: Driver) -> Remote:
    """Stands for the newest state of the scene, as engine.optimize.snapshot describes it."""
    return Remote(lambda use: driver.call(lambda session: use(session.snapshot_now())), "scene")


def capture_remote(driver: Driver) -> Remote:
    """Stands for the photos; before there is a run, the open capture itself is asked."""

    def call(use: Callable[[Any], Any]) -> Any:
        if driver.session is None:
            return use(driver.capture)
        return driver.call(lambda session: use(session.capture))

    return Remote(call, "capture")
