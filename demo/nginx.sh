# The demo's application: a real nginx, under a name of its own so that no other nginx is meant.

file=nginx.conf
set -- --app nginx --process "$name"
cp "$nginx" "$here/$name"

config() {
    cat <<CONF
pid $here/nginx.pid;
error_log $here/error.log;
events {}
http {
    access_log off;
    server {
        listen 127.0.0.1:$port;
        return 200 '$1';
    }
}
CONF
}

broken() { config "$1" | sed 's/listen/lisen/'; }

start_application() {
    "$here/$name" -p "$here" -c "$volume/nginx.conf" -g 'daemon off;' 2>/dev/null &
    app_pid=$!
}

ask() {
    if command -v curl >/dev/null; then
        curl --silent --max-time 2 "http://127.0.0.1:$port/"
    else
        python3 -c "import urllib.request as r; print(r.urlopen('http://127.0.0.1:$port/', timeout=2).read().decode())"
    fi
}
