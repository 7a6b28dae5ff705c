"""What a new host is told, from the settings of its cell."""

from __future__ import annotations

from pathlib import Path

from attrs import define, evolve

from lae_flapp.cell_settings import CellSettings
from lae_flapp.settings import AwsSettings
from lae_protocol.furl import Furl
from lae_protocol.ids import GridLabel, new_grid_label
from lae_protocol.process.settings import SettingsError
from lae_protocol.secret import Secret
from lae_provision.hosts.programs import (
    CommandLaunch,
    EcrPlace,
    ImageLaunch,
    ImageReference,
    Launch,
    check_signing_key,
)
from lae_provision.hosts.user_data import HostSettings, UserDataTooLarge, user_data

#: No host's own is longer.
_LONG_FURL = Secret("pb://" + "a" * 32 + "@" + "a" * 100 + ":65535/" + "b" * 32)


@define(frozen=True)
class UserDataRenderer:
    """Renders the Ignition JSON of a cell's hosts."""

    settings: HostSettings
    launch: Launch

    def __call__(
        self, bootstrap: Furl, label: GridLabel, image: str | None = None
    ) -> Secret:
        """Render that of one host, which alone will know its bootstrap furl.

        It runs *image* where it runs an image at all; None is that of the settings.
        """
        furl, launch = Secret(bootstrap.reveal()), self.launch
        if image is not None and isinstance(launch, ImageLaunch):
            launch = evolve(launch, image=ImageReference(image))
        return user_data(self.settings, furl, launch, label)

    def check(self) -> None:
        """Raise :class:`SettingsError` if EC2 would refuse what is rendered."""
        try:
            user_data(self.settings, _LONG_FURL, self.launch, new_grid_label())
        except UserDataTooLarge as e:
            raise SettingsError(f"cells.program: {e}") from None


def load_renderer(aws: AwsSettings, cell: CellSettings) -> UserDataRenderer:
    """Read the keys that *cell* names; raises :class:`SettingsError`."""
    made = UserDataRenderer(_settings(aws, cell), _launch(aws, cell))
    made.check()
    return made


def _settings(aws: AwsSettings, cell: CellSettings) -> HostSettings:
    return HostSettings(
        metadata_url=cell.metadata_url,
        aws_region=aws.region,
        s3_endpoint=cell.s3_endpoint,
        log_format="json",
        expire_leases_after_days=cell.node.expire_leases_after_days,
        connections=cell.node.connections,
        connections_per_address=cell.node.connections_per_address,
        report_seconds=cell.node.report_seconds,
    )


def _launch(aws: AwsSettings, cell: CellSettings) -> Launch:
    program = cell.program
    if program.image is None:
        return CommandLaunch(program.command)
    image = ImageReference(program.image)
    place = (
        image.ecr()
        if program.ecr_endpoint is None
        else EcrPlace(program.ecr_endpoint, aws.region)
    )
    authority, key = program.registry_ca, cell.break_glass_key
    try:
        return ImageLaunch(
            image,
            place,
            tuple(_signing_key(path) for path in program.signing_keys),
            registry_ca=None if authority is None else _read(authority),
            break_glass_key=None if key is None else _read(key).strip(),
        )
    except ValueError as e:
        raise SettingsError(f"cells.break_glass_key: {key}: {e}") from None


def _signing_key(path: Path) -> str:
    text = _read(path)
    try:
        check_signing_key(text)
    except ValueError as e:
        raise SettingsError(f"cells.program.signing_keys: {path}: {e}") from None
    return text


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        why = getattr(e, "strerror", None) or "not UTF-8 text"
        raise SettingsError(f"{path}: {why}") from None
