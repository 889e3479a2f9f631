#!/bin/sh
# Runs every test and ends with the counts of each ring. Called by `make test`.
set -u

: "${CARGO:=cargo}" "${PROFILE:=default}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0

[ "$(id -u)" = 0 ] || {
    echo "test: tests make network namespaces, so they need root" >&2
    exit 1
}

# The daemons of ring 3 are the program a user would run; tests find it beside their own.
$CARGO build --workspace --all-targets --locked </dev/null || exit 1

# Events, one JSON object per line, are what the counts are taken from; people read stderr.
NEXTEST_EXPERIMENTAL_LIBTEST_JSON=1 $CARGO nextest run --workspace --locked --profile "$PROFILE" \
    --no-tests=pass --message-format libtest-json </dev/null >"$log" || failed=1
$CARGO test --workspace --locked --doc -q </dev/null || failed=1
$CARGO run -q --locked -p weft-rig --example leftovers </dev/null || failed=1

# count EVENT BINARIES NOT: how many tests ended so in the binaries that match, and not the other.
count() {
    grep '"type":"test"' "$log" | grep "\"event\":\"$1\"" | grep -E "\"name\":\"($2)" |
        grep -cvE "\"name\":\"($3)"
}

ring() {
    printf 'ring %-44s %5d passed, %d failed\n' "$1" "$(count ok "$2" "$3")" "$(count failed "$2" "$3")"
}

# nextest calls a crate's own tests `crate::crate`, those of a test program `crate::program`.
units='weft-[a-z]+::weft_[a-z]+\$|weft::|weft-(proto|pki|router)::|weft-tests::house|weft-bench::bin'
storage='weft-(raft|manager|history|sim)::'
chaos='weft-chaos::(faults|leader)'
none='^$'
echo
ring '1 units, properties, house rules' "$units" "$none"
ring '2 storage, simulation' "$storage" "$units"
ring '3 namespaces' 'weft' "$units|$storage|$chaos"
ring '5 chaos' "$chaos" "$none"
echo "$(count ok '' "$none") passed, $(count failed '' "$none") failed"
exit "$failed"
