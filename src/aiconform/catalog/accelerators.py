"""What is known of vendors' accelerators, and by what simulated and virtual ones are known.

The tables are ``vendors/*.toml``, a file for each vendor: to add a vendor is to add a file. An accelerator that is in
none of them is not judged: its requirements are undecided and ask for manual proof (KAR-0001 and KAR-0003 call that
Unknown). A table may leave out what its vendor does not document; a probe that needs it is undecided too.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from aiconform.catalog.exporters import Exporter
from aiconform.errors import InternalError

TABLES: Traversable = files("aiconform.catalog") / "vendors"
"""The directory of the tables."""

SIMULATED_LABEL: Final = "aiconform.dev/simulated-accelerator"
SHARED: Final = ".shared"
"""What a device plugin may append to the name of a resource whose devices are shared."""

_Resource = Annotated[str, StringConstraints(pattern=r"^[a-z0-9.-]+/[A-Za-z0-9_.-]+$")]
_Resources = Annotated[str, StringConstraints(pattern=r"^[a-z0-9.*-]+/[A-Za-z0-9_.*?\[\]-]+$")]
_Label = Annotated[str, StringConstraints(pattern=r"^([a-z0-9.-]+/)?[A-Za-z0-9_.-]+(=.*)?$")]
_Variable = Annotated[str, StringConstraints(pattern=r"^[A-Z_]+$")]
_Directories = Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9_./-]+(:/[A-Za-z0-9_./-]+)*$")]
_Globs = Annotated[str, StringConstraints(pattern=r"^(/dev/[A-Za-z0-9_/*?\[\]-]+( |$))+$")]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Dra(_Row):
    """A vendor's driver for Dynamic Resource Allocation.

    Attributes:
        driver: its name in ResourceSlices.
        classes: DeviceClasses of its chart that mean whole devices, the first that exists is used; where none exists,
            one whose selector names the driver.
        part_classes: DeviceClasses of its chart that mean something else.
        kind_attribute, whole: attribute that tells whole devices from parts, and its values for whole ones; where it is
            empty, every device is a whole one.
        device_nodes: whether a container with a claim finds a device node for each device.
        variable: pattern of the name of an environment variable that names the device in the container.
        driver_attribute, runtime_attribute, product_attribute, uuid_attribute, pci_attribute: attributes of devices, as
            the slices write them.
        simulated: why its devices are known not to be real; empty where they are.
    """

    driver: Annotated[str, StringConstraints(pattern=r"^[a-z0-9.-]+$")]
    classes: tuple[str, ...] = ()
    part_classes: tuple[str, ...] = ()
    kind_attribute: str = ""
    whole: tuple[str, ...] = ()
    device_nodes: bool
    variable: str = ""
    driver_attribute: str = ""
    runtime_attribute: str = ""
    product_attribute: str = ""
    uuid_attribute: str = ""
    pci_attribute: str = ""
    simulated: str = ""


class AcceleratorKind(_Row):
    """A vendor's accelerator; what is empty is not known.

    Attributes:
        name: what the vendor's devices are called, beside the vendor's name.
        resource: the extended resource of whole devices; empty where only DRA offers them.
        aliases: other resources of whole devices.
        parts: patterns of resources whose devices are parts of others.
        device_glob: device nodes of single devices in a container: shell patterns, separated by spaces.
        tool: the vendor's tool that the node injects into containers.
        paths: environment variables that list directories, such as ``PATH``, and where else the tool and its libraries
            may be injected.
        driver_command, uuid_command, product_command, pci_command: shell commands that print the driver's version, and
            the UUID, product and PCI address of each device the container holds, one a line.
        runtime_command: a shell command that prints the version of the runtime API (CUDA for NVIDIA).
        health_command: a shell command that exits 0 if the devices answer.
        driver_label, runtime_label: node labels that advertise both versions.
        product_label, count_label: node labels on the devices.
        replicas_labels, sharing_strategy_labels: node labels on how they are shared, the first that is there counts.
        runtime_classes: RuntimeClasses that give containers access; None where that is not known.
        visible_devices: environment variables by which an image or a pod asks a permissive runtime for devices; None
            where that is not known.
        all_devices: what these variables say to ask for every device.
        virtual_labels: node labels, as ``key=value``, by which devices are known to be virtual.
        virtual_products: pattern of names of virtual products.
        load_program: the program of ours that keeps a device busy from within a pod.
        exporter: how metrics of its devices are told.
        dra: its DRA driver.
    """

    vendor: str = ""
    name: str
    resource: _Resource | None = None
    aliases: tuple[_Resource, ...] = ()
    parts: tuple[_Resources, ...] = ()
    device_glob: _Globs | None = None
    tool: str = ""
    paths: Mapping[_Variable, _Directories] = Field(default_factory=dict)
    driver_command: str = ""
    uuid_command: str = ""
    product_command: str = ""
    pci_command: str = ""
    runtime_command: str = ""
    health_command: str = ""
    driver_label: _Label | None = None
    runtime_label: _Label | None = None
    product_label: _Label | None = None
    count_label: _Label | None = None
    replicas_labels: tuple[_Label, ...] = ()
    sharing_strategy_labels: tuple[_Label, ...] = ()
    runtime_classes: tuple[str, ...] | None = None
    visible_devices: tuple[str, ...] | None = None
    all_devices: str = "all"
    virtual_labels: tuple[_Label, ...] = ()
    virtual_products: str = ""
    load_program: str = ""
    exporter: Exporter | None = None
    dra: Dra | None = None

    @property
    def words(self) -> str:
        """What it is called on a page."""
        return f"{self.vendor} {self.name}"

    @property
    def resources(self) -> tuple[str, ...]:
        """Extended resources of whole devices."""
        return ((self.resource,) if self.resource else ()) + self.aliases


class Vendor(_Row):
    """A vendor's file.

    Attributes:
        sources: where its facts are from.
        simulated_nodes: node labels, as ``key`` or ``key=value``, by which a node's accelerators are known to be
            simulated, and what they say.
        other_resources: patterns of extended resources that are no accelerators, though the vendor's.
        other_drivers: DRA drivers, as patterns, whose devices are no accelerators.
    """

    vendor: str
    sources: tuple[str, ...] = Field(min_length=1)
    kinds: tuple[AcceleratorKind, ...] = ()
    simulated_nodes: Mapping[_Label, str] = Field(default_factory=dict)
    other_resources: tuple[_Resources, ...] = ()
    other_drivers: tuple[str, ...] = ()


def read(text: str, name: str) -> Vendor:
    """A vendor's file from its text.

    Raises:
        InternalError: it is no table of a vendor; says what is wrong with it.
    """
    try:
        # as JSON, so that the strict model takes lists for tuples and still no number for a text
        vendor = Vendor.model_validate_json(json.dumps(tomllib.loads(text)))
        _compiled(vendor)
    except (tomllib.TOMLDecodeError, ValidationError, re.error) as problem:
        raise InternalError(f"vendor table {name}: {problem}") from problem
    kinds = tuple(kind.model_copy(update={"vendor": vendor.vendor}) for kind in vendor.kinds)
    return vendor.model_copy(update={"kinds": kinds})


def _compiled(vendor: Vendor) -> None:
    for kind in vendor.kinds:
        re.compile(kind.virtual_products)
        re.compile(kind.dra.variable if kind.dra else "")


def texts() -> dict[str, str]:
    """The text of every table, by its file's name."""
    found = [entry for entry in TABLES.iterdir() if entry.name.endswith(".toml")]
    return {entry.name: entry.read_text(encoding="utf-8") for entry in sorted(found, key=lambda entry: entry.name)}


def digest() -> str:
    """SHA-256 of all tables: a bundle was judged with these."""
    return hashlib.sha256(json.dumps(texts(), sort_keys=True).encode()).hexdigest()


@cache
def vendors() -> tuple[Vendor, ...]:
    """Every vendor's table, in the order of the files' names.

    Raises:
        InternalError: a file is no table, or two claim the same resource or driver.
    """
    found = tuple(read(text, name) for name, text in texts().items())
    names = [name for vendor in found for kind in vendor.kinds for name in _names(kind)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InternalError(f"vendor tables: {', '.join(twice)} in more than one place")
    return found


def _names(kind: AcceleratorKind) -> Iterable[str]:
    yield from kind.resources
    if kind.dra:
        yield kind.dra.driver


def kinds() -> tuple[AcceleratorKind, ...]:
    """Every kind of accelerator that is known."""
    return tuple(kind for vendor in vendors() for kind in vendor.kinds)


def by_resource(resource: str) -> AcceleratorKind | None:
    """The kind whose whole devices an extended resource means; a shared one may be named ``<resource>.shared``."""
    plain = resource.removesuffix(SHARED)
    return next((kind for kind in kinds() if plain in kind.resources), None)


def by_part(resource: str) -> AcceleratorKind | None:
    """The kind whose parts an extended resource means, such as MIG devices."""
    plain = resource.removesuffix(SHARED)
    return next((kind for kind in kinds() if any(fnmatchcase(plain, like) for like in kind.parts)), None)


def by_driver(driver: str) -> AcceleratorKind | None:
    """The kind whose devices a DRA driver offers."""
    return next((kind for kind in kinds() if kind.dra and kind.dra.driver == driver), None)


def no_accelerator(resource: str) -> bool:
    """Whether an extended resource is known to be something else: a network device, a monitor, a fuse."""
    return any(fnmatchcase(resource, like) for vendor in vendors() for like in vendor.other_resources)


def other_driver(driver: str) -> bool:
    """Whether a DRA driver is known to offer something else than accelerators."""
    return any(fnmatchcase(driver, like) for vendor in vendors() for like in vendor.other_drivers)


def simulated_node(labels: Mapping[str, str]) -> str:
    """By what a node's accelerators are known to be simulated; empty if by nothing."""
    marks = [mark for vendor in vendors() for mark in vendor.simulated_nodes.items()]
    return next((why for label, why in marks if _carries(labels, label) and labels[_key(label)] != "false"), "")


def simulated_driver(driver: str) -> str:
    """By what a DRA driver's devices are known to be simulated; empty if by nothing."""
    kind = by_driver(driver)
    return kind.dra.simulated if kind and kind.dra else ""


def virtual(labels: Mapping[str, str]) -> str:
    """By what a node's devices are known to be virtual; empty if by nothing."""
    for kind in kinds():
        for label in kind.virtual_labels:
            if _carries(labels, label):
                return f"label {label}"
        product = labels.get(kind.product_label or "", "").removesuffix("-SHARED")
        if kind.virtual_products and re.search(kind.virtual_products, product):
            return f"product {product} is a vGPU type"
    return ""


def virtual_product(name: str) -> bool:
    """Whether a product's name is that of a virtual device."""
    patterns = [kind.virtual_products for kind in kinds() if kind.virtual_products]
    return any(re.search(pattern, name.strip()) for pattern in patterns)


def _key(label: str) -> str:
    return label.partition("=")[0]


def _carries(labels: Mapping[str, str], label: str) -> bool:
    key, _, value = label.partition("=")
    return key in labels and value in ("", labels[key])
