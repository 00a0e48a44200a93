#!/usr/bin/env bash
# Three MariaDB nodes in a Galera cluster on loopback, from Debian's mariadb-server and galera-4, durable settings.
# usage: galera.sh start|stop|status|kill N|restart N
# env:   DIR, BASE (node N has SQL port BASE+N, group port BASE+10+10*N, and the two after it for state transfer),
#        SYNC_WAIT (wsrep_sync_wait: 7 lets every statement wait for what other nodes have acknowledged),
#        SUSPECT (seconds until a silent node is taken for dead)
set -euo pipefail
DIR=${DIR:-${TMPDIR:-/tmp}/stored-session-services-$(id -u)/galera}
BASE=${BASE:-33200}
SYNC_WAIT=${SYNC_WAIT:-0}
SUSPECT=${SUSPECT:-5}

# The state transfer's rsync drops root to nobody, so as root all of this runs as Debian's mysql user.
if [ "$(id -u)" = 0 ]; then
  command -v rsync >/dev/null && [ -e /usr/lib/galera/libgalera_smm.so ] || {
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install galera-4 rsync >/dev/null
  }
  mkdir -p "$DIR"
  chown mysql: "$DIR"
  cp "$(realpath "$0")" "$DIR/galera.sh" # the repository may lie where that user cannot read
  exec setpriv --reuid=mysql --regid=mysql --init-groups \
    env DIR="$DIR" BASE="$BASE" SYNC_WAIT="$SYNC_WAIT" SUSPECT="$SUSPECT" bash "$DIR/galera.sh" "$@"
fi

cd "$DIR"
library=/usr/lib/galera/libgalera_smm.so
peers="gcomm://127.0.0.1:$((BASE + 10)),127.0.0.1:$((BASE + 20)),127.0.0.1:$((BASE + 30))"

ask() { # ask NODE SQL
  mariadb --no-defaults -S "$DIR/n$1/s.sock" -uroot -N -B -e "$2" 2>/dev/null
}
node() { # node N ADDRESSES
  local n=$1 addresses=$2 home=$DIR/n$1 group=$((BASE + 10 + 10 * $1))
  mkdir -p "$home"
  if [ ! -d "$home/data/mysql" ]; then
    mariadb-install-db --no-defaults --user="$(id -un)" --datadir="$home/data" \
      --auth-root-authentication-method=normal --skip-test-db >"$home/init.log" 2>&1
  fi
  setsid mariadbd --no-defaults --user="$(id -un)" --datadir="$home/data" --socket="$home/s.sock" \
    --pid-file="$home/pid" --log-error="$home/log.err" --port=$((BASE + n)) --bind-address=127.0.0.1 \
    --skip-name-resolve --binlog-format=ROW --default-storage-engine=InnoDB --innodb-autoinc-lock-mode=2 \
    --innodb-flush-log-at-trx-commit=1 --innodb-buffer-pool-size=64M --innodb-log-file-size=32M \
    --performance-schema=OFF --wsrep-on=ON --wsrep-sync-wait="$SYNC_WAIT" --wsrep-provider=$library --wsrep-cluster-name=stored-session \
    --wsrep-cluster-address="$addresses" --wsrep-node-name="n$n" --wsrep-node-address=127.0.0.1:$group \
    --wsrep-node-incoming-address=127.0.0.1:$((BASE + n)) \
    --wsrep-provider-options="base_port=$group;gmcast.listen_addr=tcp://127.0.0.1:$group;ist.recv_addr=127.0.0.1:$((group + 1));gcache.size=16M;gcs.fc_limit=64;evs.keepalive_period=PT0.5S;evs.join_retrans_period=PT0.5S;evs.suspect_timeout=PT${SUSPECT}S;evs.install_timeout=PT$((SUSPECT + 2))S" \
    --wsrep-sst-method=rsync --wsrep-sst-receive-address=127.0.0.1:$((group + 2)) </dev/null >"$home/out" 2>&1 &
  started=$!
}
wait_synced() { # wait_synced NODE
  for _ in $(seq 1 600); do
    [ "$(ask "$1" "show status like 'wsrep_local_state_comment'" | cut -f2)" = Synced ] && return 0
    kill -0 "$started" 2>/dev/null || break
    sleep 0.1
  done
  tail -30 "$DIR/n$1/log.err" >&2
  return 1
}

case ${1:-start} in
  start)
    node 0 gcomm://
    wait_synced 0
    ask 0 "create user if not exists test@'127.0.0.1' identified by 'test'; grant all on *.* to test@'127.0.0.1' with grant option; create database if not exists test"
    node 1 "$peers"
    wait_synced 1
    node 2 "$peers"
    wait_synced 2
    for n in 0 1 2; do echo "mysql://test:test@127.0.0.1:$((BASE + n))/test"; done
    ;;
  status)
    for n in 0 1 2; do
      echo "n$n $(ask $n "show status where variable_name in ('wsrep_cluster_size','wsrep_local_state_comment','wsrep_ready')" | tr '\n\t' ' =')"
    done
    ;;
  kill)
    kill -9 "$(cat "$DIR/n$2/pid")"
    rm "$DIR/n$2/pid"
    ;;
  restart)
    node "$2" "$peers"
    wait_synced "$2"
    ;;
  stop)
    for n in 2 1 0; do [ -f "$DIR/n$n/pid" ] && kill "$(cat "$DIR/n$n/pid")" 2>/dev/null || true; done
    for _ in $(seq 1 300); do
      ls "$DIR"/n?/pid >/dev/null 2>&1 || break
      sleep 0.1
    done
    rm -rf "$DIR"/n?
    ;;
  *)
    echo "usage: galera.sh start|stop|status|kill N|restart N" >&2
    exit 2
    ;;
esac
