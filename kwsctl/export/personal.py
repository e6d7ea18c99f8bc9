"""What is a person's in a package: their head, thresholds and voice, a small file beside the frozen backbone.

One safetensors file per person in `personal/`, with one key of metadata and a digest of everything; sealed
where a passphrase is set. Reading and writing it needs no torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from kwsctl.errors import ProfileError
from kwsctl.export.package import MANIFEST, PERSONAL, Package
from kwsctl.export.scores import Head
from kwsctl.personal import encryption, folder
from kwsctl.personal.encryption import Key
from kwsctl.registry import did_you_mean
from kwsctl.storage import write_bytes

FORMAT = 1
SUFFIX = ".person"


@dataclass(frozen=True, eq=False)
class Part:
    """What a person adds to a package.

    Attributes:
        user: the name.
        base_sha256: the bundle whose backbone the package has.
        backbone_sha256: the model file that the head and the threshold were made for; empty if they were made
            on the float bundle.
        head: with the person's rows.
        keywords: per enrolled word, its method, policy, threshold, budget, fusion, clips and expectation.
        voice: [S] direction of the person's voice; None if there is none.
        centroids: per enrolled word, embeddings [K, E] of its clips.
        enrolled: sha256 of the enrolled clips, so that no evaluation uses them.
        created: ISO time of the first enrolment.
        updates: facts about each adaptation on the package, oldest first, as JSON-able values.
    """

    user: str
    base_sha256: str
    backbone_sha256: str
    head: Head
    keywords: Mapping[str, Mapping[str, Any]]
    voice: NDArray[np.float32] | None = field(default=None, repr=False)
    centroids: Mapping[str, NDArray[np.float32]] = field(default_factory=dict, repr=False)
    enrolled: tuple[str, ...] = field(default=(), repr=False)
    created: str = ""
    updates: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)

    @property
    def thresholds(self) -> dict[str, float]:
        """Per enrolled word, the score from which it counts as detected."""
        return {name: float(keyword["threshold"]) for name, keyword in self.keywords.items()}

    @property
    def only(self) -> tuple[str, ...]:
        """Words that only this person may say."""
        return tuple(name for name, keyword in self.keywords.items() if keyword["policy"] == "only")


def to_bytes(part: Part) -> bytes:
    """Serializes what is personal.

    Args:
        part: what to write.

    Returns:
        The bytes of the file, not sealed.
    """
    tensors = {"head.weight": part.head.weight, "head.bias": part.head.bias}
    if part.voice is not None:
        tensors["voice"] = part.voice
    tensors |= {f"centroids/{name}": value for name, value in part.centroids.items()}
    owned = {n: np.ascontiguousarray(value, dtype=np.float32).copy() for n, value in sorted(tensors.items())}
    header = {
        "format": FORMAT,
        "kind": "person",
        "user": part.user,
        "base_sha256": part.base_sha256,
        "backbone_sha256": part.backbone_sha256,
        "labels": list(part.head.labels),
        "task": part.head.task,
        "keywords": {name: dict(keyword) for name, keyword in part.keywords.items()},
        "enrolled": list(part.enrolled),
        "created": part.created,
        "updates": [dict(facts) for facts in part.updates],
    }
    header["sha256"] = _digest(header, owned)
    return safetensors.numpy.save(owned, {"kwsctl": json.dumps(header, sort_keys=True, ensure_ascii=False)})


def from_bytes(content: bytes, what: str) -> Part:
    """Reads what is personal.

    Args:
        content: what `to_bytes` returned.
        what: how messages name it.

    Returns:
        What was written.

    Raises:
        ProfileError: damaged, something else, or from a newer version.
    """
    remedy = "Restore it from a backup, or enroll again."
    try:
        tensors = safetensors.numpy.load(content)
        length = int.from_bytes(content[:8], "little")
        header = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["kwsctl"])
        if int(header["format"]) > FORMAT or header["kind"] != "person":
            raise ProfileError(
                f"{what} is a {header['kind']} of format {header['format']}.", "Upgrade kwsctl."
            )
        if header.pop("sha256") != _digest(header, tensors):
            raise ValueError("its content does not match its digest")
        head = Head(tuple(header["labels"]), header["task"], tensors["head.weight"], tensors["head.bias"])
        prefix = "centroids/"
        return Part(
            user=header["user"],
            base_sha256=header["base_sha256"],
            backbone_sha256=header["backbone_sha256"],
            head=head,
            keywords=header["keywords"],
            voice=tensors.get("voice"),
            centroids={n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)},
            enrolled=tuple(header["enrolled"]),
            created=header["created"],
            updates=tuple(header.get("updates", ())),
        )
    except (safetensors.SafetensorError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ProfileError(f"{what} is damaged: {error}.", remedy) from None


def path_of(package: Package, user: str) -> Path:
    """Gives the file of a person, who need not have one.

    Args:
        package: the package.
        user: the name.

    Returns:
        The file.

    Raises:
        InputError: the name cannot be one.
    """
    return package.folder / PERSONAL / f"{folder.checked_name(user)}{SUFFIX}"


def read_part(package: Package, user: str, key: Key | None = None) -> Part:
    """Reads what is a person's in a package.

    Args:
        package: the package.
        user: the name.
        key: opens it if it is sealed.

    Returns:
        What is personal.

    Raises:
        ProfileError: there is no such person, it is sealed or damaged, or made on another base.
    """
    path = path_of(package, user)
    if not path.is_file():
        known = sorted(p.stem for p in (package.folder / PERSONAL).glob(f"*{SUFFIX}"))
        listed = f"Known: {', '.join(known)}." if known else "Nobody is."
        raise ProfileError(
            f"{user!r} is not enrolled in {package.folder}.", f"{did_you_mean(user, known)}{listed}"
        )
    content = path.read_bytes()
    if encryption.is_sealed(content):
        if key is None:
            raise folder.locked_out(user)
        content = encryption.unseal(content, key, str(path))
    part = from_bytes(content, str(path))
    check_base(package, part)
    return part


def write_part(package: Package, part: Part, key: Key | None = None) -> Path:
    """Writes what is a person's into a package, atomically.

    Args:
        package: the package.
        part: what is personal.
        key: seals it, unless None.

    Returns:
        The file.

    Raises:
        ProfileError: it was made on another base, or would replace a sealed file by an open one.
    """
    check_base(package, part)
    path = path_of(package, part.user)
    if key is None and path.is_file() and encryption.is_sealed(path.read_bytes()):
        raise folder.locked_out(part.user)
    content = to_bytes(part)
    write_bytes(path, content if key is None else encryption.seal(content, key))
    path.chmod(0o600)
    return path


def keep_people(old: Path, folder: Path, base_sha256: str) -> None:
    """Takes the people of an older package over into the one that replaces it.

    Args:
        old: the older package, if there is one.
        folder: of the new one.
        base_sha256: the bundle that the new one was made from.

    Raises:
        ProfileError: the people of the older one were enrolled on another bundle.
    """
    parts = sorted((old / PERSONAL).glob(f"*{SUFFIX}"))
    if not parts:
        return
    known = json.loads((old / MANIFEST).read_text(encoding="utf-8")).get("base_sha256", "")
    if known != base_sha256:
        raise ProfileError(
            f"{len(parts)} people are enrolled in {old}, on another bundle ({known[:12]}).",
            "Give another --out, or move them first: kwsctl users import NAME --from PACKAGE",
        )
    for path in parts:
        write_bytes(folder / PERSONAL / path.name, path.read_bytes())


def check_base(package: Package, part: Part) -> None:
    """Refuses a person of another base.

    Args:
        package: the package.
        part: what is personal.

    Raises:
        ProfileError: the two were made from different bundles.
    """
    known = package.manifest.base_sha256
    if part.base_sha256 != known:
        raise ProfileError(
            f"{part.user!r} was enrolled on bundle {part.base_sha256[:12]}, the package is of {known[:12]}.",
            "Export the bundle that the person was enrolled on; where that changed the network (bias, lora, "
            "full), with kwsctl export --user.",
        )


def _digest(header: Mapping[str, Any], tensors: Mapping[str, NDArray[np.float32]]) -> str:
    total = hashlib.sha256(json.dumps(header, sort_keys=True, ensure_ascii=False).encode("utf-8"))
    for name, value in sorted(tensors.items()):
        total.update(f"{name}{value.shape}{value.dtype}".encode())
        total.update(np.ascontiguousarray(value).tobytes())
    return total.hexdigest()
