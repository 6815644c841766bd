#!/bin/sh
# The network container of a pod starts this in the pod's network namespace. What interLink asks for lies beside it: `tunnel`, commands
# that keep the pod's ports reachable, and `mesh`, which writes mesh.sh, a wrapper that is to run the pod in a network of its own.
set -eu
here=/interlink.eu/network
export TMPDIR=/tmp/interlink.eu
mkdir -p "$TMPDIR"
cd "$TMPDIR"
shell=$(command -v bash || echo sh)

if [ -e $here/tunnel ]; then
    # The commands may leave their programs in the background; the tunnel is opened anew when all of them have ended.
    while :; do
        "$shell" -c '. "$0"; wait' $here/tunnel || echo "the tunnel commands ended with $?"
        sleep 5
    done &
fi
if [ -e $here/mesh ]; then
    PATH=$here/bin:$PATH
    "$shell" $here/mesh
    [ -e "$TMPDIR/mesh.sh" ] || { echo "the pre-exec script wrote no mesh.sh"; exit 1; }
    "$shell" "$TMPDIR/mesh.sh" $here/bin/hold
    echo "mesh.sh ended"
    exit 1
fi
wait
