"""Where a policy server listens, and who can read along."""

import ipaddress
from dataclasses import dataclass
from typing import Self

from unblind.errors import UnblindError, note

LOOPBACK = "127.0.0.1"
#: The port of a server that names none.
PORT = 8700
#: Seconds that a server may take for an action: the first one may have to be compiled.
ACTION_S = 300.0


@dataclass(frozen=True)
class Address:
    """Host and port of a server.

    Attributes:
        host: name or address.
        port: of TCP.
    """

    host: str = LOOPBACK
    port: int = PORT

    @classmethod
    def read(cls, text: str) -> Self:
        """Return the address that ``ws://HOST:PORT``, ``HOST:PORT`` or ``HOST`` means.

        Raises:
            UnblindError: it is none, or asks for encryption.
        """
        scheme, mark, rest = text.rpartition("://")
        remedy = f"name it like ws://{LOOPBACK}:{PORT}"
        if mark and scheme != "ws":
            raise UnblindError(f"'{text}' is no address of a policy server", remedy)
        host, colon, port = rest.rstrip("/").rpartition(":")
        if not colon:
            host, port = port, str(PORT)
        host = host.removeprefix("[").removesuffix("]")
        plain = port.isascii() and port.isdigit() and int(port) < 65536
        if not host or not plain or set(host) & set("/@?# \t\r\n") or not host.isprintable():
            raise UnblindError(f"'{text}' is no address of a policy server", remedy)
        return cls(host, int(port))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ws://{host}:{self.port}"

    def warn(self) -> None:
        """Note that nothing is encrypted, where what is said leaves this machine."""
        try:
            local = ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            local = self.host == "localhost"
        if not local:
            note(
                f"{self} is not of this machine alone: pictures, instructions and actions are not "
                "encrypted, and nobody has to say who they are"
            )
