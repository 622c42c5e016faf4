"""The Docker sandbox: the agent runs in a container of an engine that shares this machine's files.

`sandbox` is what the house uses, `engine` the one room of the library, `building` what a
container is told, `place` where an attempt's container is written down, `logs` the way out of an
image without Python. `remote` is the sandbox for an engine on another machine: `tunnel`,
`transport` and `stream` lead there, `loading` and `following` are its attempts.
"""

from core.sandboxes.docker.remote import DockerRemoteSandbox
from core.sandboxes.docker.sandbox import DockerSandbox

__all__ = ["DockerRemoteSandbox", "DockerSandbox"]
