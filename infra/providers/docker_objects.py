"""Networks and volumes of the Docker engine, in the words of `pulumi_docker`'s properties.

Neither can be changed in place: every difference is a replacement. Knows nothing of Pulumi's protocol.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import docker
from docker.errors import NotFound

Properties = dict[str, Any]
OWNER = "org.axonos.instance"


@dataclass(frozen=True)
class Shape:
    """Which properties of a type are served, and what Docker takes where one is not given."""

    served: frozenset[str]
    defaults: Properties


NETWORK = Shape(
    served=frozenset(
        {
            "name",
            "driver",
            "internal",
            "attachable",
            "ipv6",
            "ipamDriver",
            "ipamConfigs",
            "options",
            "labels",
        }
    ),
    defaults={
        "driver": "bridge",
        "internal": False,
        "attachable": False,
        "ipv6": False,
        "ipamDriver": "default",
    },
)
VOLUME = Shape(served=frozenset({"name", "driver", "driverOpts", "labels"}), defaults={"driver": "local"})


class Kind(Protocol):
    """One type of Docker object."""

    def create(self, wanted: Properties) -> str:
        """Make the object, or adopt an equal one that a broken-off run left; returns its ID."""
        ...

    def read(self, id_: str) -> Properties | None:
        """The object as it really is, None where it is gone."""
        ...

    def delete(self, id_: str) -> None:
        """Remove the object; one that is gone is no error."""
        ...


def comparable(properties: Properties, shape: Shape) -> Properties:
    """The properties that decide whether two objects are the same, defaults filled in, label order lost."""
    known = {key: properties.get(key) for key in shape.served}
    filled = {
        key: shape.defaults.get(key) if value in (None, {}, []) else value for key, value in known.items()
    }
    filled["labels"] = labels_to_docker(filled.get("labels") or [])
    return filled


def labels_to_docker(labels: list[dict[str, str]]) -> dict[str, str]:
    """Pulumi's list of label and value as Docker's map."""
    return {item["label"]: item["value"] for item in labels}


def labels_from_docker(labels: dict[str, str] | None) -> list[dict[str, str]]:
    """Docker's map of labels as Pulumi's list."""
    return [{"label": label, "value": value} for label, value in sorted((labels or {}).items())]


class Networks:
    """docker:index/network:Network."""

    def __init__(self, client: docker.DockerClient) -> None:
        """Args: the engine's client."""
        self._api = client.api

    def create(self, wanted: Properties) -> str:
        for found in self._api.networks(names=[wanted["name"]]):
            if found["Name"] == wanted["name"] and self._adopts(str(found["Id"]), wanted):
                return str(found["Id"])
        made = self._api.create_network(
            wanted["name"],
            driver=wanted.get("driver") or "bridge",
            options=wanted.get("options"),
            ipam=_ipam(wanted),
            check_duplicate=True,
            internal=bool(wanted.get("internal")),
            labels=labels_to_docker(wanted.get("labels") or []),
            enable_ipv6=bool(wanted.get("ipv6")),
            attachable=bool(wanted.get("attachable")),
        )
        return str(made["Id"])

    def _adopts(self, id_: str, wanted: Properties) -> bool:
        """Whether the network that has the name is as wanted. One of ours that is not makes way.

        Docker refuses to remove one that a container is in.
        """
        real = self.read(id_)
        if real is None or _equal(real, wanted, NETWORK):
            return real is not None
        if not _is_ours(real, wanted):
            raise ValueError(f"a different network named {wanted['name']} exists; remove or rename it")
        self.delete(id_)
        return False

    def read(self, id_: str) -> Properties | None:
        try:
            real = self._api.inspect_network(id_)
        except NotFound:
            return None
        return {
            "name": real["Name"],
            "driver": real["Driver"],
            "internal": real["Internal"],
            "attachable": real["Attachable"],
            "ingress": real.get("Ingress", False),
            "ipv6": real["EnableIPv6"],
            "scope": real["Scope"],
            "options": real["Options"] or {},
            "labels": labels_from_docker(real["Labels"]),
            "ipamDriver": real["IPAM"]["Driver"],
            "ipamConfigs": [_ipam_from_docker(part) for part in real["IPAM"]["Config"] or []],
        }

    def delete(self, id_: str) -> None:
        try:
            self._api.remove_network(id_)
        except NotFound:
            return


class Volumes:
    """docker:index/volume:Volume."""

    def __init__(self, client: docker.DockerClient) -> None:
        """Args: the engine's client."""
        self._api = client.api

    def create(self, wanted: Properties) -> str:
        real = self.read(wanted["name"])
        if real and not _equal(real, wanted, VOLUME):
            raise ValueError(f"a different volume named {wanted['name']} exists; remove or rename it")
        made = self._api.create_volume(
            wanted["name"],
            driver=wanted.get("driver") or "local",
            driver_opts=wanted.get("driverOpts"),
            labels=labels_to_docker(wanted.get("labels") or []),
        )
        return str(made["Name"])

    def read(self, id_: str) -> Properties | None:
        try:
            real = self._api.inspect_volume(id_)
        except NotFound:
            return None
        return {
            "name": real["Name"],
            "driver": real["Driver"],
            "driverOpts": real["Options"] or {},
            "labels": labels_from_docker(real["Labels"]),
            "mountpoint": real["Mountpoint"],
        }

    def delete(self, id_: str) -> None:
        try:
            self._api.remove_volume(id_)
        except NotFound:
            return


def differing(real: Properties, wanted: Properties, former: Properties, shape: Shape) -> list[str]:
    """Names of the properties in which the object differs from what is wanted.

    Args:
        real: the object's recorded state.
        wanted: the inputs now.
        former: the inputs it was made from; what neither names is left to Docker.
        shape: the object's type.
    """
    named = {key for key in shape.served if wanted.get(key) is not None or former.get(key) is not None}
    is_, should = comparable(real, shape), comparable(wanted, shape)
    return sorted(key for key in named if is_[key] != should[key])


def _equal(real: Properties, wanted: Properties, shape: Shape) -> bool:
    return not differing(real, wanted, {"labels": []}, shape)


def _is_ours(real: Properties, wanted: Properties) -> bool:
    """Whether it bears the label of the instance that wants it."""
    labels = [labels_to_docker(one.get("labels") or []) for one in (real, wanted)]
    owner = labels[1].get(OWNER)
    return owner is not None and labels[0].get(OWNER) == owner


def _ipam(wanted: Properties) -> Any:
    parts = wanted.get("ipamConfigs")
    if not parts:
        return None
    names = {
        "subnet": "Subnet",
        "gateway": "Gateway",
        "ipRange": "IPRange",
        "auxAddress": "AuxiliaryAddresses",
    }
    config = [{names[key]: value for key, value in part.items() if value} for part in parts]
    return {"Driver": wanted.get("ipamDriver") or "default", "Config": config}


def _ipam_from_docker(part: dict[str, Any]) -> Properties:
    names = {
        "Subnet": "subnet",
        "Gateway": "gateway",
        "IPRange": "ipRange",
        "AuxiliaryAddresses": "auxAddress",
    }
    return {names[key]: value for key, value in part.items() if value and key in names}
