"""Opening an SSH connection: which address, user and keys, and what to do about every way in which it fails."""

import getpass
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

from codesign.errors import BoardError, ConfigError

if TYPE_CHECKING:
    import paramiko


@dataclass(frozen=True)
class Target:
    """Where to: what the user named, after ~/.ssh/config."""

    host: str
    address: str
    user: str
    port: int
    keys: tuple[str, ...]
    known_hosts: tuple[Path, ...]

    def __str__(self) -> str:
        return f"{self.user}@{self.host}" + ("" if self.port == 22 else f":{self.port}")


def find(host: str, user: str | None, port: int | None) -> Target:
    """Where a host is reached. Raises ConfigError for a name or a configuration that is none."""
    library = _paramiko()

    if not host or host.startswith("-") or any(c.isspace() for c in host):
        raise ConfigError(f"'{host}' is no host name")
    path = Path.home() / ".ssh" / "config"
    try:
        found = library.SSHConfig.from_path(str(path)).lookup(host) if path.is_file() else {}
    except (OSError, library.SSHException, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from None
    for hop in ("proxyjump", "proxycommand"):
        if found.get(hop, "none") != "none":
            raise ConfigError(f"{path} reaches {host} through another host ({hop}), which this cannot: use a tunnel")
    known = [Path.home() / ".ssh" / "known_hosts", Path("/etc/ssh/ssh_known_hosts")]
    if named := str(found.get("userknownhostsfile", "")).split():
        known = [Path(name).expanduser() for name in named] + known[1:]
    keys = tuple(str(Path(key).expanduser()) for key in found.get("identityfile", []))
    try:
        number = port or int(found.get("port", 22))
    except ValueError:
        raise ConfigError(f"{path}: the port of {host} is '{found['port']}'") from None
    name = user or str(found.get("user") or getpass.getuser())
    return Target(host, str(found.get("hostname", host)), name, number, keys, tuple(known))


def open_client(target: Target, timeout_s: float) -> "paramiko.SSHClient":
    """A connection that is let in. Raises BoardError saying what is in the way."""
    library = _paramiko()
    client = library.SSHClient()
    try:
        for path in target.known_hosts:
            if path.is_file():
                _load_known(client, path)
        client.set_missing_host_key_policy(_unknown_host(target))
        client.connect(
            target.address,
            target.port,
            target.user,
            key_filename=[*target.keys],
            timeout=timeout_s,
            banner_timeout=timeout_s,
            auth_timeout=timeout_s,
            channel_timeout=timeout_s,
        )
    except BaseException as error:
        client.close()
        if isinstance(error, (library.SSHException, OSError, EOFError, UnicodeError)):
            _explain(target, error)
        raise
    return cast("paramiko.SSHClient", client)


def _load_known(client: Any, path: Path) -> None:
    from paramiko.hostkeys import InvalidHostKey

    try:
        client.load_system_host_keys(str(path))
    except InvalidHostKey as error:
        raise ConfigError(f"{path} has a line that is no host key: {str(error.line)[:60]!r}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is no text") from None


def _unknown_host(target: Target) -> "paramiko.MissingHostKeyPolicy":
    import paramiko

    class Refuse(paramiko.MissingHostKeyPolicy):
        def missing_host_key(self, _: "paramiko.SSHClient", __: str, key: "paramiko.PKey") -> NoReturn:
            port = "" if target.port == 22 else f"-p {target.port} "
            raise BoardError(
                f"{target.host} is not among the known hosts ({target.known_hosts[0]}); its key is {key.get_name()} "
                f"{key.fingerprint}: compare that with the board's, then connect once by ssh {port}{target.user}@"
                f"{target.host}"
            )

    return Refuse()


def _explain(target: Target, error: BaseException) -> NoReturn:
    import paramiko

    if isinstance(error, paramiko.BadHostKeyException):
        name = target.address if target.port == 22 else f"[{target.address}]:{target.port}"
        raise BoardError(
            f"the host key of {target.host} has changed: it was {error.expected_key.fingerprint}, now it is "
            f"{error.key.fingerprint}. Somebody may be in between. If the board was set up anew, forget the old one: "
            f"ssh-keygen -R '{name}'"
        ) from None
    if isinstance(error, paramiko.PasswordRequiredException):
        raise BoardError(f"a key for {target} has a passphrase: hand it to an agent, ssh-add") from None
    # The second: there was no key to try at all.
    if isinstance(error, paramiko.AuthenticationException) or "No authentication methods" in str(error):
        raise BoardError(
            f"{target} takes none of your keys (agent, ~/.ssh/id_*, those of ~/.ssh/config): put one there by "
            f"ssh-copy-id {target.user}@{target.host}"
        ) from None
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
    raise BoardError(f"cannot reach {target.host}, port {target.port}: {' '.join(str(reason).split())}") from None


def _paramiko() -> Any:
    try:
        import paramiko
    except ImportError:
        raise ConfigError("SSH needs paramiko: pip install 'codesign[board]'") from None
    # What it logs is what it raises, too; without a handler Python would print it.
    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    return paramiko
