#!/bin/bash
# dracut: a root on an LV of lvshift-dm. The variables are dracut's.
# shellcheck disable=SC2154

# called by dracut
check() {
    require_binaries lvshift-dm || return 1
    [[ $hostonly || $mount_needs ]] || return 0
    local dev
    for dev in "${!host_fs_types[@]}"; do
        [[ $(dmsetup info -c --noheadings -o uuid "$dev" 2> /dev/null) == LVSHIFT-* ]] && return 0
    done
    return 255
}

# called by dracut
depends() {
    echo dm rootfs-block
}

# called by dracut
installkernel() {
    hostonly='' instmods dm_mod dm_mirror dm_log dm_region_hash
}

# called by dracut
install() {
    local file
    inst_multiple lvshift-dm /usr/lib/lvshift/activate-root
    for file in /etc/machine-id /etc/lvshift/system_id /etc/lvshift/devices /etc/default/lvshift; do
        [[ ! -e $file ]] || inst_simple "$file"
    done
    # After the devices have settled, and again until the root is there.
    inst_hook initqueue/settled 50 "$moddir/lvshift-activate.sh"
    inst_hook initqueue/timeout 50 "$moddir/lvshift-activate.sh"
}
