#!/bin/sh
# Builds .venv with common, every plugin, the example plugin and the tools of the suite, at the versions of constraints.txt.
# Does nothing when the environment already holds what the pyproject files and constraints ask for.
set -eu
cd "$(dirname "$0")/.."

venv=.venv
stamp=$venv/.installed
wanted=$({ pwd; cat constraints.txt pyproject.toml common/pyproject.toml plugins/*/pyproject.toml examples/*/pyproject.toml "$0"; } | sha256sum)

if [ -x $venv/bin/interlink-plugin ] && [ "$(cat $stamp 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi

fit='import sys; sys.exit(sys.version_info < (3, 11))'

suitable_python() {
    for name in python3.13 python3.12 python3.11 python3; do
        if "$name" -c "$fit" 2>/dev/null; then
            echo "$name"
            return
        fi
    done
}

debian_root() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null
}

python=$(suitable_python)
if [ -z "$python" ] && debian_root; then
    echo "No Python 3.11 or newer here: installing the distribution's python3 and python3-venv." >&2
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3 python3-venv >/dev/null
    python=$(suitable_python)
fi
if [ -z "$python" ]; then
    echo "make install needs Python 3.11 or newer: install one so that python3.11, python3.12, python3.13 or python3 starts it." >&2
    exit 1
fi

if ! "$venv/bin/python" -c "$fit" 2>/dev/null; then
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        package=python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv
        if ! debian_root; then
            echo "$python cannot make virtual environments: install the package $package (apt-get install $package, as root)." >&2
            exit 1
        fi
        echo "$python cannot make virtual environments: installing the package $package." >&2
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null
    fi
    rm -rf "$venv"
    "$python" -m venv "$venv"
fi

echo "Installing into $venv ($("$venv/bin/python" --version)); the first time takes a minute or two." >&2
pip() {
    PIP_CONSTRAINT=constraints.txt "$venv/bin/python" -m pip --disable-pip-version-check --quiet "$@"
}
# The build backends go in first, so that the editable installs below use them at their pinned versions.
pip install hatchling editables setuptools
set -- -e './common[tracing,testing]'
for plugin in plugins/*/pyproject.toml examples/*/pyproject.toml; do
    set -- "$@" -e "./$(dirname "$plugin")"
done
pip install --no-build-isolation "$@" -e '.[dev]'

echo "$wanted" >$stamp
