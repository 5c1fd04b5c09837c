"""What belongs to one tenant; to each of them, nothing else exists."""

from collections import OrderedDict
from dataclasses import dataclass

from mlservice.settings import Settings
from mlservice.store.aliases import Aliases
from mlservice.store.entries import EntryBuilder
from mlservice.store.link import Link
from mlservice.store.models import Models

MOST_KEPT = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Tenant:
    """One tenant's models and aliases."""

    name: str
    models: Models
    aliases: Aliases


class Tenants:
    """Tenants by name, the least recently seen dropped first.

    Parameters
    ----------
    link : Link
        The store.
    settings : Settings
        Limits and the queue's name.
    entry : callable
        Builds the queue's entry for one attempt, `jobs.entry`.
    """

    def __init__(self, link: Link, settings: Settings, entry: EntryBuilder) -> None:
        self._link = link
        self._settings = settings
        self._entry = entry
        self._kept: OrderedDict[str, Tenant] = OrderedDict()

    def of(self, name: str) -> Tenant:
        """Return the tenant of a name, which need not have anything yet."""
        tenant = self._kept.get(name)
        if tenant is None:
            models = Models(self._link, self._settings, self._entry, name)
            tenant = Tenant(name=name, models=models, aliases=Aliases(self._link, name))
            self._kept[name] = tenant
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(name)
        return tenant
