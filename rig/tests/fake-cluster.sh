#!/bin/sh
# Stands in for `weft` in the test of the demo: answers as a healthy cluster would. Redis makes
# the daemon's socket, nginx answers on the published ports, one process plays the task redis.1.
if [ "$1" = daemon ]; then
    state=$3 run=$5
    printf 'daemon off; pid %s/pid; error_log stderr; events {}
        http { access_log off; client_body_temp_path %s/b; proxy_temp_path %s/p;
        fastcgi_temp_path %s/f; uwsgi_temp_path %s/u; scgi_temp_path %s/s;
        server { listen 8080; listen 8000; return 200 "hello\n"; } }' \
        "$run" "$run" "$run" "$run" "$run" "$run" > "$run/nginx.conf"
    nginx -e stderr -c "$run/nginx.conf" &
    if [ "$(hostname)" = n2 ]; then
        mkdir -p "$state/tasks/id-redis-1"
        unshare -n -u sh -c 'hostname redis-1; exec sleep 1000' &
        echo "{\"process\": {\"pid\": $!, \"start_ticks\": 1}}" > "$state/tasks/id-redis-1/running.json"
    fi
    echo "fake daemon of $(hostname)" >&2
    exec redis-server --port 0 --unixsocket "$run/weft.sock" --save '' --dir "$run" >&2
fi
shift 2
tasks() {
    printf '['
    i=1
    while [ $i -le "$2" ]; do
        [ $i = 1 ] || printf ,
        printf '{"name": "%s.%d", "id": "id-%s-%d", "state": "running"}' "$1" $i "$1" $i
        i=$((i + 1))
    done
    printf ']\n'
}
case "$*" in
"cluster init"*) echo initialised ;;
"cluster join-token worker -q") echo token-worker ;;
"cluster join-token manager -q") echo token-manager ;;
"cluster join --token token-"*":2377") echo joined ;;
"node ls --format json") echo '[{"status":"ready"},{"status":"ready"},{"status":"ready"},{"status":"ready"},{"status":"ready"}]' ;;
"service ps web --format json") tasks web 3 ;;
"service ps redis --format json") tasks redis 1 ;;
"service ps whoami --format json") tasks whoami 5 ;;
"network create demo" | "service create --name "*) ;;
"node ls" | "service ls") echo "TABLE of $*" ;;
*) echo "unknown command: $*" >&2; exit 64 ;;
esac
