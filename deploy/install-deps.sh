#!/bin/sh
# Installs what building, the demo and the tests need and this machine lacks, from Debian's
# packages. Does nothing, quickly, when everything is there.
set -eu

fail() {
    echo "install-deps: $*" >&2
    exit 1
}

# program-or-file package: whether it is there tells whether the package is needed.
needs='
cc            gcc
/usr/include/stdio.h libc6-dev
make          make
pkg-config    pkg-config
nginx         nginx-light
redis-server  redis-server
redis-cli     redis-tools
curl          curl
dig           dnsutils
nft           nftables
ip            iproute2
conntrack     conntrack
tcpdump       tcpdump
unshare       util-linux
'

# What the benches compare with. Nothing of it is started here, and tests need none of it.
[ "${1:-all}" != bench ] || needs="$needs
etcd          etcd-server
dockerd       docker.io
"

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:${CARGO_HOME:-$HOME/.cargo}/bin
missing=$(echo "$needs" | while read -r thing package; do
    case $thing in
    "") ;;
    /*) [ -e "$thing" ] || printf '%s ' "$package" ;;
    *) command -v "$thing" >/dev/null 2>&1 || printf '%s ' "$package" ;;
    esac
done)

if [ -n "$missing" ]; then
    [ "$(id -u)" = 0 ] || fail "these packages are missing: $missing
Run it as root, or: apt-get install $missing"
    command -v apt-get >/dev/null 2>&1 || fail "these Debian packages are missing and there is no apt-get: $missing"

    # Installing nginx or redis starts them as system services, unless policy-rc.d forbids it.
    # It is put back as it was, also when the installation fails.
    policy=/usr/sbin/policy-rc.d
    saved=
    if [ -e "$policy" ]; then
        saved=$(mktemp)
        cp -p "$policy" "$saved"
    fi
    restore() {
        if [ -n "$saved" ]; then
            cp -p "$saved" "$policy"
            rm -f "$saved"
        else
            rm -f "$policy"
        fi
    }
    trap restore EXIT
    trap 'exit 1' INT TERM HUP
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"

    echo "install-deps: installing $missing"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086 # one word per package
    apt-get install -y -qq --no-install-recommends $missing </dev/null >/dev/null || {
        apt-get update -qq </dev/null
        # shellcheck disable=SC2086
        apt-get install -y -qq --no-install-recommends $missing </dev/null
    }
    # What policy-rc.d kept from starting now would start at the next boot.
    if [ -d /run/systemd/system ]; then
        for service in $missing; do
            case $service in
            nginx-light) systemctl disable -q nginx ;;
            redis-server) systemctl disable -q redis-server ;;
            etcd-server) systemctl disable -q etcd ;;
            docker.io) systemctl disable -q docker.service docker.socket containerd ;;
            esac
        done
    fi
    restore
    trap - EXIT INT TERM HUP
fi

command -v cargo >/dev/null 2>&1 ||
    fail "there is no Rust: install it with https://rustup.rs, then open a new shell"

# Only the tests need nextest: `install-deps.sh demo` and `install-deps.sh bench` leave it out.
if [ "${1:-all}" = all ] && ! cargo nextest --version >/dev/null 2>&1; then
    echo "install-deps: building cargo-nextest (once, a few minutes)"
    cargo install --locked cargo-nextest </dev/null
fi
