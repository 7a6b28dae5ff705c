"""The doors on AWS keep the contract, with moto checking signatures and the daemon's
own policy, as it is shipped.
"""

from __future__ import annotations

import pytest
from twisted.trial.unittest import TestCase

from lae_protocol.secret import Secret
from lae_provision.aws.key_file import FileDataKeys
from tests.provision.contracts import suite


class OnMoto:
    @pytest.fixture(autouse=True)
    def _benches(self, benches: object) -> None:
        self.benches = benches

    def bench(self) -> object:
        self.addCleanup(self.benches.close)
        return self.benches.bench()


class MotoBuckets(OnMoto, suite.BucketsContract, TestCase): ...


class MotoRoles(OnMoto, suite.RolesContract, TestCase): ...


class MotoHosts(OnMoto, suite.HostsContract, TestCase): ...


class MotoAddresses(OnMoto, suite.AddressesContract, TestCase): ...


class MotoVault(OnMoto, suite.VaultContract, TestCase): ...


class MotoDataKeys(OnMoto, suite.DataKeysContract, TestCase): ...


class KeyFileBench:
    data_keys = FileDataKeys((Secret("A" * 43 + "="),))


class KeyFileDataKeys(suite.DataKeysContract, TestCase):
    def bench(self) -> KeyFileBench:
        return KeyFileBench()
