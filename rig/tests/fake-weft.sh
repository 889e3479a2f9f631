#!/bin/sh
# Stands in for `weft` in the rig's own tests: a daemon with one task that has left its namespace,
# its environment and its parent, as a task whose shim died has.
case "$1" in
daemon)
    root=/sys/fs/cgroup/unified
    [ -d "$root" ] || root=/sys/fs/cgroup
    mkdir -p "$root/$WEFT_CGROUP_PARENT/task"
    (
        echo 0 > "$root/$WEFT_CGROUP_PARENT/task/cgroup.procs"
        exec setsid unshare -n -u env -i sleep 1000
    ) &
    setsid sleep 1000 &
    echo "fake daemon up: $*" >&2
    trap 'exit 0' TERM
    while :; do sleep 0.1; done
    ;;
--socket)
    shift 2
    case "$1" in
    fail) echo "refused: $2" >&2; exit 3 ;;
    hostname) hostname ;;
    json) echo '[{"name": "redis.1", "state": "running"}]' ;;
    slow) sleep 1000 ;;
    esac
    ;;
esac
