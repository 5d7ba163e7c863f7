#!/bin/sh
# Stands where people and models look for pip and npm first, and says what gets packages here.
name=${0##*/}
echo "$name is not in this sandbox. The tool install_packages gets packages: the server offers it with --tools core,sandboxes, and --network says from where." >&2
exit 1
