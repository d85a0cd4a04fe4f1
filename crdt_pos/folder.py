"""The folder of a replica: its settings, key, certificates, log and lock.

    replica.toml       who it is, where it listens, whom it dials         key.pem (0600)     its key
    certificate.pem    its certificate, then its office's                 root.pem           the company's root
    log/               the log                                            local.sock         while it runs
    running            held (flock) while it runs, with its process id

No folder holds the company's root key or its recovery key: see ``crdt_pos.company_keys``.
A folder appears whole or not at all. Opening one proves that key, certificates, root and settings belong together; whatever
does not is one sentence (``FolderError``).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
import tomllib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Final, cast

from crdt_pos.errors import FolderError
from gossip.address import Address
from merge_rules.dataclass import dataclass
from peers import certificates
from peers.certificates import Certificate, Root, TlsContexts
from peers.errors import CertificateError, CertificateFault, KeyFileError
from peers.keys import SecretKey
from peers.permissions import Role

SETTINGS: Final = "replica.toml"
KEY: Final = "key.pem"
RETIRED: Final = "retired.json"
"""There once the replica of a folder is retired and its key destroyed."""
CERTIFICATE: Final = "certificate.pem"
ROOT: Final = "root.pem"
LOG: Final = "log"
RUNNING: Final = "running"
OFFICE_PORT: Final = 7420
"""Where a head office listens unless it is told otherwise; tills let the system choose and are found by multicast."""
WAN: Final = ("live", "daily")
VAULT_EVERY_S_MAX: Final = 86_400


@dataclass(frozen=True, slots=True)
class Settings:
    """What a person may change in ``replica.toml``."""

    listen: Address
    """An empty host is every interface, port 0 whichever is free."""
    peers: tuple[Address, ...] = ()
    """Replicas to dial wherever multicast does not reach: at a till the head office."""
    wan: str = "live"
    """``live``: summaries at checkpoints too; ``daily``: two small messages per till and day."""
    multicast: bool = True
    """Whether to find, and be found by, replicas on the local network."""
    interfaces: tuple[str, ...] = ()
    """IP addresses of the interfaces for multicast; none: all."""
    vault_every_s: int | None = None
    """How old a receipt may become that was not sealed for the guardians; ``None``: a minute, or with ``daily`` until the next
    summary."""


@dataclass(frozen=True, slots=True)
class Folder:
    """An opened folder: everything in it fits together."""

    path: Path
    settings: Settings
    key: SecretKey = field(repr=False)
    chain: tuple[bytes, ...] = field(repr=False)
    """In DER: the replica's certificate, then its office's; of an office, its own only."""
    certificate: Certificate
    root: Root

    @property
    def log_path(self) -> Path:
        """The folder of the log."""
        return self.path / LOG

    def tls_contexts(self) -> TlsContexts:
        """What sessions need."""
        return certificates.tls_contexts(self.root.company, self.path / KEY, self.path / CERTIFICATE, self.path / ROOT)

    @contextlib.contextmanager
    def held(self) -> Generator[None]:
        """Hold the folder: one process runs or changes a replica at a time. Raises ``FolderError`` if another does."""
        descriptor = os.open(self.path / RUNNING, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                holder = os.read(descriptor, 20).decode("ascii", "replace").strip() or "unknown"
                raise FolderError(
                    f"{self.certificate.name} is running (process {holder}) and holds {self.path}: stop it first."
                ) from error
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            # Not removed: another process may already be waiting for this very file.
            os.close(descriptor)


def open_folder(path: Path) -> Folder:
    """Open a replica's folder. Raises ``FolderError``."""
    try:
        return _open(path)
    except KeyFileError as error:
        raise FolderError(f"{error}.") from error
    except PermissionError as error:
        raise FolderError(f"{error.filename} cannot be read: run this as the user who owns {path}.") from error


def _open(path: Path) -> Folder:
    if not path.is_dir():
        raise FolderError(f"There is no folder {path}: create a company or enrol a till first.")
    if not (path / SETTINGS).is_file():
        raise FolderError(f"{path} is not a replica's folder: it has no {SETTINGS}.")
    if (path / RETIRED).exists():
        raise FolderError(
            f"The replica of {path} is retired and its key destroyed: nothing runs from this folder any more."
        )
    table = _table(path / SETTINGS)
    root = _root(path / ROOT)
    chain = tuple(certificates.load_certificates(path / CERTIFICATE))
    certificate = _proven(path, chain, root)
    key = certificates.load_key(path / KEY)
    if key.public != certificate.public_key:
        raise FolderError(
            f"{path / KEY} is not the key of {path / CERTIFICATE}: put the right one back, or enrol again."
        )
    settings = _settings(table, path / SETTINGS)
    for name, proven in _identity(certificate).items():
        if table.get(name) != proven:
            raise FolderError(f"{path / SETTINGS} says {name} = {table.get(name)!r}, the certificate says {proven!r}.")
    return Folder(path, settings, key, chain, certificate, root)


def load_root(path: Path) -> Root:
    """A company's root certificate in a file, which stands in every replica's folder. Raises ``FolderError``."""
    try:
        return _root(path)
    except KeyFileError as error:
        raise FolderError(f"{error}.") from error


def create_folder(
    path: Path,
    settings: Settings,
    key: SecretKey,
    chain: Sequence[bytes],
    root: Root,
    log: Path | None = None,
) -> Folder:
    """Write a replica's folder, whole or not at all, and open it. Raises ``FolderError``, also if there is one.

    ``log``: the folder of a log beside ``path`` that nobody has open, and which becomes the replica's.
    """
    refuse_used(path)
    certificate = _proven(path, tuple(chain), root)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        being_made = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    except OSError as error:
        raise FolderError(f"{path} cannot be made: {error.strerror}.") from error
    try:
        _write_settings(being_made / SETTINGS, settings, certificate, root)
        certificates.save_key(being_made / KEY, key)
        certificates.save_certificates(being_made / CERTIFICATE, chain)
        certificates.save_certificates(being_made / ROOT, [root.der])
        if log is not None:
            log.replace(being_made / LOG)
        _sync(being_made)
        being_made.replace(path)
        _sync(path.parent)
    except (OSError, KeyFileError) as error:
        raise FolderError(f"{path} cannot be written: {error}.") from error
    finally:
        shutil.rmtree(being_made, ignore_errors=True)
    return open_folder(path)


def refuse_used(path: Path) -> None:
    """Raise ``FolderError`` unless a new replica can be put at ``path``: nothing is there, or an empty folder."""
    if path.is_dir() and not any(path.iterdir()):
        return
    if path.exists() or path.is_symlink():
        raise FolderError(f"{path} is in use already: choose another folder.")


def parse_address(text: str, default_port: int | None = None) -> Address:
    """``10.0.0.1:7420``, ``office.example:7420``, ``[::1]:7420`` or ``:7420``. Raises ``FolderError``.

    Without a port, ``default_port`` is meant, if there is one.
    """
    host, colon, port = text.rpartition(":")
    if (not colon or text.endswith("]")) and default_port is not None:
        host, port = text, str(default_port)
    elif not colon:
        raise FolderError(f"{text!r} is no address: write host:port, like 10.0.0.1:{OFFICE_PORT}.")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise FolderError(f"{text!r} is no address: write an IPv6 address in brackets, like [::1]:{OFFICE_PORT}.")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise FolderError(f"{text!r} is no address: the port is a number from 0 to 65535.")
    return Address(host, int(port))


def _identity(certificate: Certificate) -> dict[str, object]:
    said: dict[str, object] = {
        "company": certificate.company.hex(),
        "role": str(certificate.role),
        "name": certificate.name,
    }
    if certificate.role is Role.TILL:
        said |= {"store": certificate.store, "till": certificate.till}
    return said


def _table(path: Path) -> dict[str, object]:
    try:
        table = cast("dict[str, object]", tomllib.loads(path.read_text("utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FolderError(f"{path} cannot be understood: {error}.") from error
    known = {"company", "company_name", "role", "name", "store", "till", "listen", "peers", "wan", "multicast"}
    unknown = sorted(set(table) - known - {"interfaces", "vault_every_s"})
    if unknown:
        raise FolderError(f"{path} has a setting that is not known: {unknown[0]}.")
    return table


def _settings(table: Mapping[str, object], path: Path) -> Settings:
    wan, multicast = table.get("wan", "live"), table.get("multicast", True)
    if wan not in WAN:
        raise FolderError(f"{path}: wan is {' or '.join(WAN)}, not {wan!r}.")
    if not isinstance(multicast, bool):
        raise FolderError(f"{path}: multicast is true or false, not {multicast!r}.")
    listen = table.get("listen", "")
    if not isinstance(listen, str):
        raise FolderError(f"{path}: listen is an address in quotes, not {listen!r}.")
    return Settings(
        parse_address(listen),
        tuple(parse_address(peer) for peer in _texts(table, "peers", path)),
        str(wan),
        multicast,
        tuple(_texts(table, "interfaces", path)),
        _vault_every_s(table.get("vault_every_s"), path),
    )


def _vault_every_s(value: object, path: Path) -> int | None:
    if value is not None and not (type(value) is int and 1 <= value <= VAULT_EVERY_S_MAX):
        raise FolderError(f"{path}: vault_every_s is a number of seconds from 1 to {VAULT_EVERY_S_MAX}, not {value!r}.")
    return value


def _texts(table: Mapping[str, object], name: str, path: Path) -> list[str]:
    value = table.get(name, [])
    if not isinstance(value, list) or not all(isinstance(one, str) for one in cast("list[object]", value)):
        raise FolderError(f"{path}: {name} is a list of addresses in quotes.")
    return cast("list[str]", value)


def _root(path: Path) -> Root:
    found = certificates.load_certificates(path)
    try:
        return certificates.parse_root(found[0])
    except CertificateError as error:
        raise FolderError(f"{path} is not a company's root certificate: {error.fault}.") from error


def _proven(path: Path, chain: tuple[bytes, ...], root: Root) -> Certificate:
    try:
        return certificates.verify_chain(chain, root)
    except CertificateError as error:
        if error.fault is CertificateFault.OTHER_COMPANY:
            raise FolderError(
                f"{path / CERTIFICATE} belongs to another company than {path / ROOT}: this folder was put together wrongly."
            ) from error
        raise FolderError(f"{path / CERTIFICATE} does not prove who this replica is: {error.fault}.") from error


def _write_settings(path: Path, settings: Settings, certificate: Certificate, root: Root) -> None:
    said = _identity(certificate) | {
        "company_name": root.name,
        "listen": str(settings.listen),
        "peers": [str(peer) for peer in settings.peers],
        "wan": settings.wan,
        "multicast": settings.multicast,
        "interfaces": list(settings.interfaces),
    }
    if settings.vault_every_s is not None:
        said["vault_every_s"] = settings.vault_every_s
    # A JSON string, number, boolean or list of strings is one in TOML too.
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in said.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    path.chmod(0o600)  # whom it dials is the owner's to change, whatever the umask
    _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
