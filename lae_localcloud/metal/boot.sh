#!/bin/sh
# Powers on one instance: boot.sh outside, which comes back as boot.sh inside.
# What it needs is in the environment (lae_localcloud/metal/power.py says what).
#
# Everything that is mounted here is mounted in the instance's own namespace, the volume's
# loop device too: with its last process the kernel takes all of it away.
set -e

if [ "$1" = outside ]; then
    for group in $CGROUPS; do echo $$ > "$group/cgroup.procs"; done
    exec nsenter --net="$NETNS" unshare --mount --uts --ipc --pid --cgroup --fork \
        --kill-child --propagation private /bin/sh "$0" inside
fi

# Whatever fails before systemd runs: an instance that cannot be booted.
trap '[ $? = 0 ] || exit 90' EXIT

console=$(readlink /proc/self/fd/2)
mount -o loop,nodev "$VOLUME" "$DISK"
cd "$DISK"
mkdir -p upper work root containers
mount -t overlay overlay -o "lowerdir=$ROOT,upperdir=upper,workdir=work" root
# An overlay cannot lie on an overlay: podman's lies on the volume itself.
mkdir -p root/var/lib/containers
mount --bind containers root/var/lib/containers
cd root

mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 none run
mount -t tmpfs none tmp
mount -t tmpfs -o mode=755 none dev
mkdir dev/pts dev/shm dev/mqueue
for name in null zero full random urandom tty; do
    touch "dev/$name"
    mount --bind "/dev/$name" "dev/$name"
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr
touch dev/console
mount --bind "$console" dev/console
# systemd would raise limits of the whole machine, and a magic key would restart it.
for name in sys sysrq-trigger irq bus fs; do
    [ -e "proc/$name" ] || continue
    mount --bind "proc/$name" "proc/$name"
    mount -o remount,bind,ro "proc/$name"
done

# What DHCP says in a VPC.
printf 'nameserver %s\n' "$RESOLVER" > etc/resolv.conf
echo "$HOSTNAME" > etc/hostname
hostname "$HOSTNAME"
printf '127.0.0.1 localhost %s\n' "$HOSTNAME" > etc/hosts

# Ignition runs at the first boot alone.  It is done only once all of it is.
if [ ! -e etc/.ignition-done ]; then
    mkdir -p run/ignition
    for stage in fetch files; do
        chroot . /usr/lib/dracut/modules.d/30ignition/ignition --root=/ \
            --platform=aws --stage="$stage" --config-cache=/run/ignition/config.json \
            --neednet=/run/ignition/neednet --state-file=/run/ignition/state \
            --log-to-stdout > "run/ignition/$stage.log" 2>&1 || {
            echo "Ignition failed in its stage $stage:"
            tail -n 20 "run/ignition/$stage.log"
            exit 90
        }
    done
    # As its presets say, where Debian has none of them.
    if [ -e etc/systemd/system-preset/20-ignition.preset ]; then
        while read -r word unit; do
            chroot . systemctl --quiet "$word" "$unit"
        done < etc/systemd/system-preset/20-ignition.preset
    fi
    rm -rf run/ignition
    sync -f etc
    : > etc/.ignition-done
fi

# The last group: its root reaches no disk of this machine.
[ -z "$DEVICES" ] || echo 0 > "$DEVICES/cgroup.procs"
mkdir -p .old
pivot_root . .old
umount -l /.old
rmdir /.old
lost=-sys_module,-sys_time,-sys_rawio,-syslog,-mac_admin,-mac_override
exec setpriv --bounding-set "$lost" --inh-caps -all \
    env -i container=s4-metal TERM=dumb PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    /sbin/init --log-target=journal --show-status=0 < /dev/null > /dev/console 2>&1
