"""The cloud services and network shares that KineBackup recognises, one module for each.

Owns: the list of services, which is the list of modules of this package. Does not know: how a place is judged.

A new service is one new module here, with a ``SERVICES`` tuple; it is registered nowhere else.
"""

import importlib
import pkgutil
from functools import cache

from kinebackup.drives.clouds.description import CloudService


@cache
def all_services() -> tuple[CloudService, ...]:
    """Every service, in the order of the module names."""
    modules = [importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]
    services = tuple(service for module in modules for service in module.SERVICES)
    if not services:
        # An installation that lost its files must not find every place free of clouds.
        raise RuntimeError(f"no cloud service is described in {list(__path__)}")
    return services
