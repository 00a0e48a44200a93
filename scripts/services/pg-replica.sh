#!/usr/bin/env bash
# A PostgreSQL primary and its streaming standby on loopback, from Debian's binaries, with durable settings.
# usage: pg-replica.sh start|stop|status|promote|kill-primary
# env:   DIR, BASE (ports BASE and BASE+1), BIN (folder of initdb), SYNC=1 (commit waits for the standby)
set -euo pipefail
DIR=${DIR:-${TMPDIR:-/tmp}/stored-session-services-$(id -u)/postgres-replica}
BASE=${BASE:-33300}
SYNC=${SYNC:-0}
BIN=${BIN:-$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1)}

# PostgreSQL refuses root, so as root all of this runs as Debian's postgres user.
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$DIR"
  chown postgres: "$DIR"
  cp "$(realpath "$0")" "$DIR/pg-replica.sh" # the repository may lie where that user cannot read
  exec setpriv --reuid=postgres --regid=postgres --init-groups \
    env DIR="$DIR" BASE="$BASE" BIN="$BIN" SYNC="$SYNC" bash "$DIR/pg-replica.sh" "$@"
fi

cd "$DIR"
primary=$DIR/primary standby=$DIR/standby

up() { # up DATA PORT
  setsid "$BIN/pg_ctl" -D "$1" -w -t 30 -l "$1.log" \
    -o "-p $2 -c listen_addresses=127.0.0.1 -c unix_socket_directories=$DIR" start >/dev/null </dev/null
}
ask() { # ask PORT SQL
  "$BIN/psql" -X -h 127.0.0.1 -p "$1" -U postgres -Atc "$2"
}

case ${1:-start} in
  start)
    if [ ! -d "$primary" ]; then
      "$BIN/initdb" -D "$primary" -U postgres -A trust -E UTF8 --locale=C >/dev/null
      cat >>"$primary/postgresql.conf" <<CONF
wal_level = replica
max_wal_senders = 5
hot_standby = on
shared_buffers = 64MB
max_connections = 100
fsync = on
synchronous_commit = on
wal_keep_size = 64MB
CONF
    fi
    up "$primary" "$BASE"
    if [ ! -d "$standby" ]; then
      "$BIN/pg_basebackup" -h 127.0.0.1 -p "$BASE" -U postgres -D "$standby" -R -X stream -C -S standby1 -c fast
    fi
    up "$standby" $((BASE + 1))
    for _ in $(seq 1 100); do
      [ "$(ask "$BASE" "select count(*) from pg_stat_replication where state = 'streaming'")" = 1 ] && break
      sleep 0.1
    done
    if [ "$SYNC" = 1 ]; then
      ask "$BASE" "alter system set synchronous_standby_names = '*'" >/dev/null
      ask "$BASE" "select pg_reload_conf()" >/dev/null
    fi
    echo "primary postgres://postgres@127.0.0.1:$BASE/postgres standby postgres://postgres@127.0.0.1:$((BASE + 1))/postgres"
    ;;
  status)
    for port in $BASE $((BASE + 1)); do echo "$port recovery=$(ask "$port" 'select pg_is_in_recovery()' 2>&1)"; done
    ;;
  kill-primary) kill -9 "$(head -1 "$primary/postmaster.pid")" ;;
  promote) "$BIN/pg_ctl" -D "$standby" -w promote >/dev/null ;;
  stop)
    for data in "$standby" "$primary"; do "$BIN/pg_ctl" -D "$data" -m immediate stop >/dev/null 2>&1 || true; done
    rm -rf "$primary" "$standby" "$primary.log" "$standby.log"
    ;;
  *)
    echo "usage: pg-replica.sh start|stop|status|promote|kill-primary" >&2
    exit 2
    ;;
esac
