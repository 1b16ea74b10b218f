#!/bin/sh
# The root's device as dracut names it: block:/dev/VG/LV or block:/dev/disk/by-uuid/...
# shellcheck disable=SC2154
[ -e "${root#block:}" ] || /usr/lib/lvshift/activate-root "${root#block:}"
