"""How a customer joins a grid and stores a first file, for a person to follow.

The mail, the status page, the page "How to join" and the customer guide all say it in
these words: the first three render them, and a test compares the guide's.  Another
test follows them to the first stored file.
"""

from __future__ import annotations

from attrs import define

from lae_protocol.grid_file import SHARES

GRIDSYNC = "https://github.com/gridsync/gridsync/releases"
#: Where the recipe keeps tahoe, in a place of its own beside any other client.
TAHOE = "~/s4/bin/tahoe"
#: The node's folder: with settings of its own, so that another grid's stay as they are.
NODE = "~/s4/client"
#: What tahoe needs to be installed, where the system does not have it.
NEEDED = "sudo apt install python3-venv python3-dev gcc"
#: The file that the recipe keeps the rootcap in.
ROOTCAP_FILE = "~/s4-rootcap.txt"


@define(frozen=True)
class Step:
    """What a person does: sentences, and the command to type."""

    words: str
    command: str


def gridsync_steps(file: str) -> tuple[str, ...]:
    """What a person does with Gridsync; *file* says which file is the grid's."""
    return (
        f"Install Gridsync for Windows, macOS or Linux, and start it: {GRIDSYNC}",
        f"Save {file}.",
        'In Gridsync choose "Restore from Recovery Key" and open that file.',
        (
            "Gridsync warns of data loss and asks whether you are sure. Answer Yes: the"
            " warning is about a key that another computer still uses, and this file is"
            " new, says only where your grid is, and has no keys in it."
        ),
        (
            'Add a folder. When it is stored, choose "Export Recovery Key", and keep'
            " the new file somewhere else than on this computer: that one opens your"
            " files."
        ),
    )


#: With Gridsync on another computer, while the first one is still in use.
SECOND_GRIDSYNC = (
    "On a second computer open the same file as on the first one, ours, and not the"
    " Recovery Key that you exported: two computers that use one Recovery Key can lose"
    " data, which is what Gridsync warns of. To have a folder on both, share it from"
    " the first computer, and type the code that Gridsync shows into the second one."
)
#: When the first computer is gone.
LOST_GRIDSYNC = (
    "On the new computer install Gridsync and restore from the Recovery Key that you"
    " exported, not from our file. Gridsync asks whether you are sure. Answer Yes if"
    " the old computer does not run Gridsync any more."
)


def tahoe_steps(furl: str) -> tuple[Step, ...]:
    """What a person types, from nothing to the first file and its key.

    The third command stores the file; the fourth shows the rootcap and keeps it.
    """
    return (
        Step(
            "Install tahoe into the folder ~/s4, and make a client for your grid there."
            " A client of another grid that you have keeps its settings. Your grid is"
            " one server, so one share of each file is needed, and is enough.",
            "python3 -m venv ~/s4 && ~/s4/bin/pip install tahoe-lafs"
            f" && {TAHOE} create-client --shares-needed {SHARES}"
            f" --shares-happy {SHARES} --shares-total {SHARES}"
            f" --webport tcp:0:interface=127.0.0.1 --introducer '{furl}' {NODE}",
        ),
        Step(
            "Start the client, and leave it running. It connects within seconds once"
            " your server is ready.",
            f"{TAHOE} run {NODE}",
        ),
        Step(
            "In another window make a directory on your grid, which you call home, and"
            " store a first file in it.",
            f"{TAHOE} -d {NODE} create-alias home"
            f" && echo hello | {TAHOE} -d {NODE} put - home:hello.txt",
        ),
        Step(
            "See your rootcap, the key that opens everything under home:, and save it."
            f" Copy the file {ROOTCAP_FILE} to somewhere else than this computer, or"
            " print it.",
            f"(umask 077; {TAHOE} -d {NODE} list-aliases | tee {ROOTCAP_FILE})",
        ),
    )
