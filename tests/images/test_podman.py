"""Podman of the metal level's root, with the policy that hosts get, and ``verify`` say
the same of every image.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from lae_localcloud.metal.requirements import why_not
from lae_localcloud.metal.root import make_root
from lae_provision.hosts.programs import EcrPlace, ImageLaunch, ImageReference
from lae_provision.hosts.signatures import signature_files
from lae_provision.images import shipping, signature
from lae_provision.images.signature import NotRight
from tests.images.test_shipping import Registry

#: A root of its own over the cached one, with this machine's network.
INSIDE = """set -e
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/up,workdir=$2/work" "$2/root"
mount -t proc proc "$2/root/proc"
mount --bind /dev "$2/root/dev"
mount --bind /sys "$2/root/sys"
mount -t tmpfs tmpfs "$2/root/run"
root=$2; shift 2
exec chroot "$root/root" "$@"
"""


@pytest.fixture(scope="module")
def podmans_root() -> Path:
    """Debian trixie's podman, as instances of the metal level have it."""
    reason = why_not()
    if reason is not None:
        pytest.skip(f"the metal level: {reason}")
    return make_root(print)


def read_text(file: str) -> str:
    return Path(file).read_text("ascii")


def pull(root: Path, launch: ImageLaunch, token: str, named: str) -> str:
    """What podman says on a new host of this launch; nothing where it pulls."""
    folder = Path(tempfile.mkdtemp())
    for name in ("up", "work", "root"):
        (folder / name).mkdir()
    for entry in signature_files(launch):
        source = str(entry["contents"]["source"]).partition(",")[2]
        place = folder / "up" / str(entry["path"]).lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(base64.b64decode(source))
    auths = {"auths": {launch.image.registry: {"auth": token}}}
    (folder / "up/auth.json").write_text(json.dumps(auths))
    podman = ("podman", "--root=/tmp/s", "--runroot=/tmp/r", "--storage-driver=vfs")
    done = subprocess.run(
        [
            *("unshare", "--mount", "--pid", "--fork", "--propagation=private"),
            *("sh", "-c", INSIDE, "sh", root, folder, *podman, "pull", "-q"),
            *("--authfile=/auth.json", named),
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"},
    )
    shutil.rmtree(folder)
    return done.stderr if done.returncode else ""


class PodmanAndWe(Registry):
    """Each test asks both."""

    @pytest.fixture(autouse=True)
    def _root(self, podmans_root: Path) -> None:
        self.root = podmans_root

    async def pull(
        self, reference: ImageReference, keys: tuple[str, ...], named: str | None = None
    ) -> str:
        """What podman says of it; nothing where it pulls.  *named* is pulled by a host
        whose policy is about *reference*.
        """
        token = (await self.cloud.repositories.token()).token.reveal()
        authority = read_text(self.facts["registry"]["authority"])
        launch = ImageLaunch(reference, EcrPlace("http://x/", "x"), keys, authority)
        return pull(self.root, launch, token, named or reference.text)

    async def both(
        self, reference: ImageReference, podman: str, ours: str, *keys: str
    ) -> None:
        """Both refuse, each in its words; or both take it, where there are none."""
        trusted = await self.public(*keys)
        said = await self.pull(reference, trusted)
        assert podman in said
        assert bool(podman) == bool(said), said
        if ours:
            with pytest.raises(NotRight, match=ours):
                await shipping.verify(self.registry, reference, trusted)
        else:
            await shipping.verify(self.registry, reference, trusted)

    async def test_any_of_two_keys_is_enough(self) -> None:
        """Hosts with an old and a new key take what either, or both, signed."""
        both = ("alias/images", "alias/next")
        old = await self.signed(self.image("old", "1"))
        await self.both(old, "", "", *both)
        await self.sign(old, "alias/next")
        await self.both(old, "", "", "alias/next")

    async def test_the_unsigned(self) -> None:
        """... is refused, by its digest and by its tag."""
        reference = await self.pushed(self.image())
        words = "A signature was required, but no signature exists"
        await self.both(reference, words, "it is not signed")
        by_tag = f"{reference.repository}:v1"
        assert words in await self.pull(reference, await self.public(), by_tag)

    async def test_a_strangers(self) -> None:
        """... key counts for nothing."""
        await self.both(
            await self.signed(self.image(), "alias/stranger"),
            "cryptographic signature verification failed",
            "by another key",
        )

    async def test_a_replay(self) -> None:
        """A right signature is refused beside another image, and in another repository."""
        image = self.image("one", "1")
        first = await self.signed(image)
        (one,) = await shipping.read_signatures(self.registry, first)
        second = await self.pushed(self.image("two", "2"), "v2")
        await self.put(second, one)
        await self.both(second, "does not match", "its signature is for sha256:")

        await self.cloud.repositories.make(f"{self.name}x", None, {})
        other = self.bench.reference(f"{self.name}x", first.digest)
        await shipping.push(self.registry, other.name, image, "v1")
        await self.put(other, one)
        await self.both(other, "is not accepted", f"is for {first.repository}")

    async def put(self, reference: ImageReference, one: signature.Signature) -> None:
        manifest, config = signature.documents_of((one,))
        for data in (one.payload, config.data):
            await self.registry.put_blob(reference.name, data)
        tag = reference.signature_tag
        await self.registry.put_manifest(reference.name, tag, manifest)

    async def test_another_repository(self) -> None:
        """What the policy does not name is refused, however well it is signed."""
        reference = await self.signed(self.image())
        other = self.bench.reference("local/other", reference.digest)
        said = await self.pull(other, await self.public(), reference.text)
        assert "rejected by policy" in said

    async def test_a_changed_layer(self) -> None:
        """Other bytes under the digest of a signed image are not taken."""
        image = self.image("changed, tests/images/test_podman.py")
        reference = await self.signed(image)
        name = image.layers[0].digest.removeprefix("sha256:")
        state = Path(self.facts["registry"]["authority"]).parent
        (held,) = (state / "docker/data").rglob(f"{name}/data")
        held.write_bytes(held.read_bytes()[:-1] + b"x")
        await self.both(reference, "igest", "other bytes")
