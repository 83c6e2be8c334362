"""Systems of others that are nodes of a BEAM, as fixtures: ``beam_system("rabbitmq")``.

    def test_we_hear_of_a_queue(beam_system, erl_node, beam):
        rabbit = beam_system("rabbitmq", cookie=beam.cookie)
        assert erl_node.rpc(rabbit.name, "rabbit", "is_running", []) is True

Each is started by its own program, with a name, ports and data of its own, and is a `Beam` in all else: `eval`,
`kill9` and `restart` (which keeps its data), `suspend`, `logs`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any

from pyerlnode.errors import UsageError
from pyerlnode.testing.beam import BOOT_S, Beam
from pyerlnode.testing.epmd import Epmd, free_port
from pyerlnode.testing.errors import BeamUnavailable
from pyerlnode.testing.launch import Launcher
from pyerlnode.testing.reaper import REAPER
from pyerlnode.testing.release import environment_for


class RabbitMQ(Beam):
    """A RabbitMQ broker.

    Attributes:
        amqp_port: where it listens for clients, at 127.0.0.1.
    """

    script = """
exec 3>&1 1>&2
export ERL_AFLAGS="$PYERLNODE_FLAGS" ERL_ZFLAGS=-noinput
unset PYERLNODE_FLAGS
exec rabbitmq-server
"""
    program, package, place = "rabbitmq-server", "rabbitmq-server", "/usr/lib/rabbitmq/bin"

    def __init__(self, launcher: Launcher, epmd: Epmd, **options: Any) -> None:
        found = shutil.which(self.program, path=self.place) or shutil.which(self.program)
        if launcher.kind != "local" or launcher.prefix or found is None:
            raise BeamUnavailable(f"no `{self.program}` on this machine (Debian: apt install {self.package})")
        # What is on PATH of Debian runs as another user, in directories of its own.
        super().__init__(Launcher(path=os.path.dirname(found), label="rabbitmq"), epmd, **options)
        self.amqp_port = self._dist_port = 0
        self._directory = tempfile.mkdtemp(prefix="pyerlnode_rabbitmq_")
        self._directory_key = REAPER.add("rm", "-rf", self._directory)

    def boot(self) -> RabbitMQ:
        if not self.running():
            self.amqp_port, self._dist_port = self.amqp_port or free_port(), self._dist_port or free_port()
        super().boot()
        return self

    def ready(self) -> RabbitMQ:
        super().ready()
        self.wait_until("rabbit:is_running()", BOOT_S)
        return self

    def stop(self) -> None:
        super().stop()
        shutil.rmtree(self._directory, ignore_errors=True)
        REAPER.remove(self._directory_key)

    def _environment(self) -> dict[str, str]:
        flags = environment_for("", self._kind_of_name(), self.name, self.cookie, self._options())["PYERLNODE_FLAGS"]
        inside = {name: os.path.join(self._directory, name) for name in ("data", "log", "plugins", "none")}
        mine = {
            "HOME": self._directory,
            "PYERLNODE_FLAGS": flags,
            "RABBITMQ_ALLOW_INPUT": "true",  # the emulator takes the place of its script
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_USE_LONGNAME": str(self._kind_of_name() == "-name").lower(),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-setcookie {self.cookie}",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.amqp_port),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": inside["data"],
            "RABBITMQ_LOG_BASE": inside["log"],
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_ENABLED_PLUGINS_FILE": inside["plugins"],
            "RABBITMQ_CONFIG_FILE": inside["none"],
            "RABBITMQ_CONF_ENV_FILE": inside["none"],
        }
        return {**super()._environment(), **mine, **self._env}


SYSTEMS: dict[str, type[RabbitMQ]] = {"rabbitmq": RabbitMQ}


def of(name: str) -> type[RabbitMQ]:
    """The class of the system `name`.

    Raises:
        UsageError: it is not one of those that are here.
    """
    if name not in SYSTEMS:
        raise UsageError(f"beam_system({name!r}): give one of {', '.join(SYSTEMS)}")
    return SYSTEMS[name]
