#!/usr/bin/env bash
# The demo shop without devstack: what a README would tell a new developer to type, one thing after the other.
#
#   by_hand.sh up       in an empty folder; ends when the page answers and every program is RUNNING
#   by_hand.sh down
#
# REPO: what to clone. PYTHON. POSTGRES_BIN: folder of its programs. REDIS_SERVER, RABBITMQ_SERVER: programs that run in
# the foreground. SUPERVISOR_BIN: folder. PG_PORT, REDIS_PORT, AMQP_PORT, WEB_PORT. AS: words before Postgres' programs,
# which refuse to run as root; else nothing. The file `times` gets a line as each part is done.
set -euo pipefail
HERE=$PWD

done_with() { printf '%s %s\n' "$EPOCHREALTIME" "$*" >>"$HERE/times"; }
listens() { until (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; do sleep 0.1; done; }

up() {
    done_with begin

    git clone --quiet -- "$REPO" shop
    cd shop
    done_with clone

    "$PYTHON" -m venv .venv
    done_with venv
    .venv/bin/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
    done_with pip

    $AS "$POSTGRES_BIN/initdb" -D "$HERE/postgres" -U postgres -A trust -E UTF8 --no-locale >"$HERE/postgres.log"
    $AS "$POSTGRES_BIN/pg_ctl" -D "$HERE/postgres" -l "$HERE/postgres.log" -w -s \
        -o "-p $PG_PORT -h 127.0.0.1 -k $HERE" start
    "$POSTGRES_BIN/psql" -q -h 127.0.0.1 -p "$PG_PORT" -U postgres -c "CREATE ROLE shop LOGIN PASSWORD 'shop'"
    "$POSTGRES_BIN/psql" -q -h 127.0.0.1 -p "$PG_PORT" -U postgres -c "CREATE DATABASE shop OWNER shop"
    done_with postgres

    "$REDIS_SERVER" --port "$REDIS_PORT" --bind 127.0.0.1 --dir "$HERE" --daemonize yes \
        --pidfile "$HERE/redis.pid" --logfile "$HERE/redis.log" >/dev/null
    listens "$REDIS_PORT"
    done_with redis

    setsid "$RABBITMQ_SERVER" </dev/null >"$HERE/rabbitmq.log" 2>&1 &
    echo $! >"$HERE/rabbitmq.pid"
    listens "$AMQP_PORT"
    done_with rabbitmq

    export DJANGO_SETTINGS_MODULE=shop.settings DEBUG=true SECRET_KEY=not-so-secret
    export DATABASE_URL="postgresql://shop:shop@127.0.0.1:$PG_PORT/shop"
    export REDIS_URL="redis://127.0.0.1:$REDIS_PORT/0" CELERY_BROKER_URL="$BROKER_URL"
    export PATH="$PWD/.venv/bin:$PATH"
    python manage.py migrate --noinput >"$HERE/migrate.log"
    done_with migrate
    python manage.py loaddata demo >"$HERE/loaddata.log"
    done_with loaddata

    configuration >"$HERE/supervisord.conf"
    "$SUPERVISOR_BIN/supervisord" -c "$HERE/supervisord.conf"
    until curl --silent --fail --output /dev/null "http://127.0.0.1:$WEB_PORT/health/"; do sleep 0.2; done
    until all_running; do sleep 0.2; done
    done_with supervisord
}

all_running() {
    local said
    said=$("$SUPERVISOR_BIN/supervisorctl" -c "$HERE/supervisord.conf" status) && [ -n "$said" ]
}

configuration() {
    cat <<CONF
[unix_http_server]
file=$HERE/supervisor.sock
[supervisord]
logfile=$HERE/supervisord.log
pidfile=$HERE/supervisord.pid
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://$HERE/supervisor.sock
[program:web]
command=python manage.py runserver --noreload 127.0.0.1:$WEB_PORT
[program:worker]
command=celery -A shop worker --concurrency 2 -n worker%(process_num)d@%%h --loglevel INFO
numprocs=2
process_name=%(program_name)s-%(process_num)d
[program:beat]
command=celery -A shop beat --loglevel INFO --schedule var/celerybeat-schedule
[program:shipper]
command=python -m shop.shipper
CONF
}

down() {
    if [ -e supervisord.pid ]; then
        "$SUPERVISOR_BIN/supervisorctl" -c supervisord.conf shutdown >/dev/null || true
        while [ -e supervisor.sock ]; do sleep 0.1; done
    fi
    for pid in redis.pid rabbitmq.pid; do
        if [ -s $pid ]; then kill "$(cat $pid)" || true; fi
    done
    if [ -e postgres/postmaster.pid ]; then $AS "$POSTGRES_BIN/pg_ctl" -D "$HERE/postgres" -s -m fast stop || true; fi
}

"$1"
