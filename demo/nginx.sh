# The demo's application: a real nginx, under a name of its own so that the gate finds this one and no other.

file=nginx.conf
set -- --app nginx --process "$name"
cp "$nginx" "$here/$name"

# Temporary paths: those that are compiled in belong to root.
config() {
    cat <<CONF
pid $here/nginx.pid;
error_log $here/error.log;
events {}
http {
    access_log off;
    client_body_temp_path $here/body;
    proxy_temp_path $here/proxy;
    fastcgi_temp_path $here/fastcgi;
    uwsgi_temp_path $here/uwsgi;
    scgi_temp_path $here/scgi;
    server {
        listen 127.0.0.1:$port;
        return 200 '$1';
    }
}
CONF
}

broken() { config "$1" | sed 's/listen/lisen/'; }

# Column 2 is the local address, column 4 the state; 0A is LISTEN (proc(5)).
in_use() { awk -v port="$(printf ':%04X' "$1")" '$4 == "0A" && substr($2, length($2) - 4) == port { found = 1 } END { exit !found }' /proc/net/tcp /proc/net/tcp6 2>/dev/null; }

# Starts it with this answer, on the first free port. Another program may take the port between the look and the start.
start_application() {
    first=$port
    while in_use "$port" || ! start_on_port "$1"; do
        port=$((port + 1))
        [ "$port" -le $((first + 100)) ] || fail "no port from $first to $((port - 1)) is free; set DEMO_PORT"
    done
    [ "$port" = "$first" ] || echo "port $first is in use; the demo takes $port" >&2
}

# nginx writes its pid once it listens, and tries several times to bind.
start_on_port() {
    config "$1" | update
    : > "$here/error.log"
    "$here/$name" -p "$here" -c "$volume/nginx.conf" -g 'daemon off;' 2>/dev/null &
    app_pid=$!
    until [ -s "$here/nginx.pid" ]; do
        kill -0 "$app_pid" 2>/dev/null || fail "nginx does not start: $(tail -n 1 "$here/error.log")"
        if grep -q 'bind() .* failed' "$here/error.log"; then
            kill "$app_pid"
            wait "$app_pid" 2>/dev/null || true
            return 1
        fi
        sleep 0.05
    done
}

ask() {
    if command -v curl >/dev/null; then
        curl --silent --max-time 2 "http://127.0.0.1:$port/"
    else
        bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0" && printf "GET / HTTP/1.0\r\n\r\n" >&3 && sed "1,/^\r\$/d" <&3' "$port"
    fi 2>/dev/null
}
