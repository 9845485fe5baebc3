# The demo's application where there is no nginx and none can be installed: a shell script which reads its configuration,
# a line `answer=TEXT`, at its start and at each SIGHUP.

file=app.conf

cat > "$here/check" <<'CHECK'
#!/bin/sh
grep -qx 'answer=.*' "$1" || { echo "app: $1:1: a line \`answer=TEXT\` is required"; exit 1; }
CHECK
cat > "$here/$name" <<APP
#!/bin/sh
load() { sed -n 's/^answer=//p' '$volume/app.conf' > '$here/answer.new' && mv '$here/answer.new' '$here/answer'; }
trap load HUP
trap 'kill \$! 2>/dev/null; exit' TERM
load
while :; do sleep 60 & wait \$!; kill \$! 2>/dev/null; done
APP
chmod +x "$here/check" "$here/$name"
# It has no workers that could be renewed; this compares its answer with its file.
cat > "$here/proof" <<PROOF
#!/bin/sh
[ "answer=\$(cat '$here/answer')" = "\$(cat '$volume/app.conf')" ]
PROOF
chmod +x "$here/proof"

set -- --process "$name" --signal HUP --main "$file" --validate "$here/check {config}" --verify-command "$here/proof"

config() { echo "answer=$1"; }
broken() { echo "anwser=$1"; }

# Starts it with this answer.
start_application() {
    config "$1" | update
    "$here/$name" &
    app_pid=$!
}

ask() { cat "$here/answer" 2>/dev/null; }
