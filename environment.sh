#!/bin/sh
# The virtual environment of a checkout: environment.sh PYTHON DIRECTORY (what `make` calls).
# Whole or not at all: one that cannot be finished is removed, unless it was there before.

python=$1 venv=$2 made=

fail() {
  [ -n "$made" ] && rm -rf "$venv"
  echo "hopcheck: $1" >&2
  exit 1
}

version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) ||
  fail "no Python at $python; name one of 3.11 or later: make PYTHON=/usr/bin/python3.12"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  fail "Python 3.11 or later is needed, and $python is $version; make PYTHON=python3.12, if you have it"
"$python" -c 'import venv, ensurepip' 2>/dev/null ||
  fail "$python has no venv (on Debian and Ubuntu: apt install python$version-venv)"

trap 'fail "interrupted; nothing was set up"' INT TERM HUP
[ -e "$venv" ] || made=yes
total=$(grep -c '==' requirements-dev.txt)
echo "setting up $venv (once): $total packages"
"$python" -m venv "$venv" >/dev/null || fail "$venv could not be made by $python -m venv"

# What pip says is counted; its last word is kept for the sentence.
install() {
  { "$venv/bin/python" -u -m pip install --disable-pip-version-check "$@" 2>&1; echo "ended $?"; } |
    { count=0 last='no word of pip'
      while IFS= read -r line; do
        case $line in
          Collecting*|*'Requirement already satisfied'*)
            count=$((count + 1))
            [ $((count % 20)) -ne 0 ] || echo "  $count of $total" ;;
          'WARNING: Retrying'*) echo '  the package index does not answer; trying again' ;;
          'Installing collected'*) echo '  installing' ;;
          'ERROR: '*|'error: '*) last=${line#*: } ;;
          'ended 0') exit 0 ;;
          'ended '*) echo "$last" >"$venv/.why"; exit 1 ;;
        esac
      done; exit 1; }
}

# The lock names every package, so none is looked for. pip compiles on one core, compileall on all;
# uncompiled, the first run of a test would wait for it.
for what in '--no-deps --no-compile --require-hashes -r requirements-dev.txt' \
  '--no-deps --no-build-isolation -e .'; do
  # shellcheck disable=SC2086  # words on purpose
  install $what ||
    fail "the packages could not be installed ($(cat "$venv/.why" 2>/dev/null)); is a package index reachable (pip config list)?"
done
"$venv/bin/python" -m compileall -qq -j 0 "$venv/lib"
touch "$venv/.ready"
