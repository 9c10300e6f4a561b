"""Layers, import cycles and sizes of the code; docs/development.md has the picture."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = {
    "display": ROOT,
    "hsm_lifecycle": ROOT / "functions",
    "localaws": ROOT,
    "rehearsal": ROOT,
}
OURS = {*SOURCES, "scripts", "tests"}
LONGEST_FILE = 400
LONGEST_FUNCTION = 60
# What each package may import of this repository; the longest matching name counts.
ALLOWED_IMPORTS = {
    "display": ("display",),
    "hsm_lifecycle": ("hsm_lifecycle",),
    "localaws": ("localaws",),
    "localaws.core": ("localaws.core",),
    "localaws.services": ("localaws.services", "localaws.core"),
    "rehearsal": ("rehearsal", "display", "localaws.client"),
}


@functools.cache
def modules() -> dict[str, Path]:
    """The path of every module by its name."""
    found = {}
    for package, root in SOURCES.items():
        paths = sorted((root / package).rglob("*.py"))
        assert paths, package
        for path in paths:
            name = ".".join(path.relative_to(root).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


@functools.cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text())


@functools.cache
def imports(module: str) -> frozenset[str]:
    """The modules that a module imports, also inside functions and for type checking only.

    `from package import name` imports `package.name` if that is a module, else `package`.
    """
    return frozenset(_imports(module))


def _imports(module: str) -> Iterator[str]:
    for node in ast.walk(tree(module)):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=source, names=names, level=level):
                package = _absolute(module, source, level)
                for name in names:
                    submodule = f"{package}.{name.name}"
                    yield submodule if submodule in modules() else package
            case ast.Call(
                func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=name)]
            ):
                yield str(name)


def _absolute(module: str, source: str | None, level: int) -> str:
    if not level:
        return source or ""
    is_package = modules()[module].name == "__init__.py"
    parents = module.split(".")[: None if is_package and level == 1 else is_package - level]
    return ".".join([*parents, *([source] if source else [])])


def is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def allowed(module: str) -> tuple[str, ...]:
    return ALLOWED_IMPORTS[
        max((package for package in ALLOWED_IMPORTS if is_within(module, package)), key=len)
    ]


def test_each_layer_imports_only_the_layers_below_it() -> None:
    offenders = [
        f"{module} imports {imported}"
        for module in modules()
        for imported in sorted(imports(module))
        if imported.partition(".")[0] in OURS
        and not any(is_within(imported, package) for package in allowed(module))
    ]
    assert offenders == []


def test_ministack_is_imported_under_localaws_ministack_only() -> None:
    offenders = [
        module
        for module in modules()
        if any(is_within(imported, "ministack") for imported in imports(module))
        and not is_within(module, "localaws.ministack")
    ]
    assert offenders == []


def test_no_modules_import_each_other_in_a_cycle() -> None:
    offenders = [" -> ".join(cycle) for cycle in _cycles()]
    assert offenders == []


def _cycles() -> Iterator[list[str]]:
    """One cycle of every set of modules that import each other, by depth-first search."""
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> Iterator[list[str]]:
        if module in path:
            yield [*path[path.index(module) :], module]
        elif module not in done:
            for imported in sorted(imports(module) & modules().keys()):
                yield from visit(imported, [*path, module])
            done.add(module)

    for module in modules():
        yield from visit(module, [])


def test_no_file_is_too_long() -> None:
    offenders = [
        f"{path.relative_to(ROOT)}: {length} lines"
        for path in modules().values()
        if (length := len(path.read_text().splitlines())) > LONGEST_FILE
    ]
    assert offenders == []


def test_no_function_is_too_long() -> None:
    offenders = [
        f"{path.relative_to(ROOT)}: {node.name} has {length} lines"
        for module, path in modules().items()
        for node in ast.walk(tree(module))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > LONGEST_FUNCTION
    ]
    assert offenders == []
