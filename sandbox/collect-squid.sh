#!/bin/sh
# Collects what squid needs to run, where Debian's package of it is installed, into a folder: the program, the libraries that were not there before it
# (the list of those that were is the second argument), and the licences of both. What else the package needs (perl, systemd, helpers, icons) stays out.
set -eu
to=$1
before=$2
mkdir -p "$to/lib" "$to/licences"

program=$(readlink -f /usr/sbin/squid)
cp "$program" "$to/squid"
cp /usr/share/squid/mime.conf "$to/mime.conf"

licence() {
  package=$(dpkg-query --search "$(readlink -f "$1")" | cut -d: -f1)
  cp -n "/usr/share/doc/$package/copyright" "$to/licences/$package"
}
licence "$program"
licence /usr/share/squid/mime.conf
ldd "$program" | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' | while read -r library; do
  real=$(readlink -f "$library")
  if grep -qxF "$real" "$before"; then continue; fi
  cp "$real" "$to/lib/${library##*/}"
  licence "$library"
done
chmod -R a+rX,go-w "$to"
