"""What podman's health check says of a node, the site and the daemon."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from lae_protocol.process import container_health
from lae_storage import health

TUB = "a" * 32


def listening(answer: bytes) -> tuple[int, list[bytes]]:
    """A server for one connection; its port, and what it was asked."""
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(10)
    asked: list[bytes] = []

    def serve() -> None:
        with server, server.accept()[0] as connection:
            asked.append(connection.recv(1000))
            connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return server.getsockname()[1], asked


def claimed(folder: Path, port: object) -> Path:
    """A volume whose grid listens there."""
    tub = {"tub_id": TUB, "port": port}
    (folder / "claimed.json").write_text(json.dumps({"identity": {"introducer": tub}}))
    return folder


def test_a_node_that_serves_is_well(tmp_path: Path) -> None:
    """The introducer is asked for this grid's Tub, as by any client."""
    port, asked = listening(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    folder = claimed(tmp_path, f"tcp:{port}:interface=127.0.0.1")
    assert health.say_problem(folder) is None
    assert asked[0].startswith(f"GET /id/{TUB} ".encode())


def test_a_node_that_serves_another_grid_is_not_well(tmp_path: Path) -> None:
    """Something answers at the port, and it is not this grid."""
    port, _ = listening(b"HTTP/1.1 500 Internal Server Error: unknown TubID\r\n")
    assert health.say_problem(claimed(tmp_path, f"tcp:{port}")) is not None


@pytest.mark.parametrize("resets", [False, True])
def test_a_crowd_does_not_have_the_node_killed(tmp_path: Path, resets: bool) -> None:
    """A node that turns us away, as it does with all strangers of a crowd, lives."""
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(10)

    def turn_away() -> None:
        with server, server.accept()[0] as connection:
            if resets:
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    threading.Thread(target=turn_away, daemon=True).start()
    folder = claimed(tmp_path, f"tcp:{server.getsockname()[1]}")
    assert health.say_problem(folder) is None


def test_a_node_that_does_not_serve_is_not_well(tmp_path: Path) -> None:
    """Nothing claimed, a damaged claim, a closed port: a line says which, and the
    program ends with 1.
    """
    assert "not claimed" in str(health.say_problem(tmp_path))
    assert "damaged" in str(health.say_problem(claimed(tmp_path, 7)))
    assert "no port" in str(health.say_problem(claimed(tmp_path, "unix:/x")))
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    folder = claimed(tmp_path, f"tcp:{port}")
    assert "does not answer" in str(health.say_problem(folder))
    done = subprocess.run(
        [sys.executable, "-I", health.__file__, str(folder)],
        check=False,
        capture_output=True,
    )
    assert (done.returncode, done.stderr[:28]) == (1, b"the introducer does not answ")


def command_line(folder: Path, settings: str, *words: str) -> Path:
    """As the kernel shows that of the container's first process."""
    (folder / "daemon.yaml").write_text(settings)
    argv = ["python", "twistd", "--config", str(folder / "daemon.yaml"), *words]
    (folder / "cmdline").write_text("\0".join(argv) + "\0")
    return folder / "cmdline"


@pytest.mark.parametrize("status", [200, 503])
def test_a_service_is_asked_where_its_settings_say(tmp_path: Path, status: int) -> None:
    """``/health`` of the process's own copy decides, and its words are told."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health" else 404)
            self.end_headers()
            self.wfile.write(b"the journal is locked\n")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.handle_request, daemon=True).start()
    port = server.server_address[1] - 1
    settings = f"process: site\nmetrics_listen: tcp:{port}:interface=127.0.0.1\n"
    told = container_health.say_problem(command_line(tmp_path, settings, "--copy", "2"))
    assert told == (None if status == 200 else "the journal is locked")
    server.server_close()


def test_a_service_without_a_place_for_health_is_not_judged(tmp_path: Path) -> None:
    """Where ``metrics_listen`` is null nobody can say, and nothing is restarted."""
    line = command_line(tmp_path, "metrics_listen: null\n")
    assert container_health.say_problem(line) is None
    (tmp_path / "cmdline").write_text("twistd\0")
    assert "no --config" in str(container_health.say_problem(line))
