"""The walls of the house as import-linter contracts: who may import whom.

A package that doesn't exist yet breaks no wall, so a contract may name rooms to come.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator

import grimp
from importlinter import Contract, ContractCheck, fields, output


class _WallContract(Contract):
    """Collects forbidden imports as (importer, imported, line) and prints them."""

    def check(self, graph: grimp.ImportGraph, verbose: bool) -> ContractCheck:
        holes = sorted(set(self._holes(graph)))
        return ContractCheck(kept=not holes, metadata={"holes": holes})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, imported, line in check.metadata["holes"]:
            output.print_error(f"{importer} (line {line}) may not import {imported}", bold=False)

    def _holes(self, graph: grimp.ImportGraph) -> Iterator[tuple[str, str, int]]:
        for importer, imported in _imports(graph):
            if self._forbids(importer, imported):
                details = graph.get_import_details(importer=importer, imported=imported)
                yield importer, imported, min((d["line_number"] for d in details), default=0)

    @abstractmethod
    def _forbids(self, importer: str, imported: str) -> bool:
        """Whether this wall stands between the two modules."""


class OnlyContract(_WallContract):
    """Modules of `packages` import nothing of ours but their own package and `may_import`."""

    type_name = "only"
    packages = fields.ListField(subfield=fields.StringField())
    may_import = fields.ListField(subfield=fields.StringField(), required=False)

    def _forbids(self, importer: str, imported: str) -> bool:
        home = _holder(importer, self.packages)
        if home is None or imported.partition(".")[0] not in OURS:
            return False
        return not _inside(imported, (home, *(self.may_import or ())))


class ApartContract(_WallContract):
    """No module of one of `packages` imports a module of another."""

    type_name = "apart"
    packages = fields.ListField(subfield=fields.StringField())

    def _forbids(self, importer: str, imported: str) -> bool:
        here, there = _holder(importer, self.packages), _holder(imported, self.packages)
        return here is not None and there is not None and here != there


class RoomContract(_WallContract):
    """`modules` (ours or a library's) are imported by `importers` only, and by themselves."""

    type_name = "room"
    modules = fields.ListField(subfield=fields.StringField())
    importers = fields.ListField(subfield=fields.StringField())

    def _forbids(self, importer: str, imported: str) -> bool:
        home = _holder(imported, self.modules)
        return home is not None and not _inside(importer, (home, *self.importers))


OURS = frozenset({"bot", "core", "site_gen", "config"})


def _imports(graph: grimp.ImportGraph) -> Iterator[tuple[str, str]]:
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            yield importer, imported


def _holder(module: str, packages: Iterable[str]) -> str | None:
    """The package that holds the module, if one does."""
    return next((p for p in packages if _inside(module, (p,))), None)


def _inside(module: str, packages: Iterable[str]) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)
