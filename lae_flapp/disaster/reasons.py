"""Why nothing is built from a backup, each by its name; nothing was changed then."""

from __future__ import annotations


class CannotRebuild(Exception):
    """What was asked for is not done.  The sentence says why and what to do."""

    #: For scripts, and for the record of a drill.
    name = "cannot-rebuild"


class NoBackup(CannotRebuild):
    """The bucket has no backup of this deployment that could be restored."""

    name = "no-backup"


class BucketAway(CannotRebuild):
    """The bucket does not answer, or not these keys.  Try again."""

    name = "bucket-away"


class BackupIsCut(CannotRebuild):
    """Something that was written to the backup is missing.  Look for older versions of
    the objects, or choose an older life.
    """

    name = "backup-cut"


class BackupIsDamaged(CannotRebuild):
    """Bytes of the backup are not what was written."""

    name = "backup-damaged"


class BackupIsForeign(CannotRebuild):
    """It is the backup of another deployment.  Do not try again."""

    name = "backup-foreign"


class BackupIsNewer(CannotRebuild):
    """A newer release wrote it.  Install that release."""

    name = "backup-newer"


class WrongRecoveryKey(CannotRebuild):
    """The recovery key does not open what was sealed.  Find the right one."""

    name = "wrong-recovery-key"


class TargetIsTaken(CannotRebuild):
    """Something is where the deployment should be built.  Nothing is overwritten."""

    name = "target-taken"


class RecoveryElsewhere(CannotRebuild):
    """Another machine recovers this deployment, or has done so."""

    name = "recovery-elsewhere"


class NotProved(CannotRebuild):
    """Everything is there, and something of it is not what it should be."""

    name = "not-proved"
