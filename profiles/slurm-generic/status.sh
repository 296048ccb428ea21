#!/bin/sh
# Print `running`, `success` or `failed` for a job's id (or `id;cluster`).
# scontrol knows a finished job for MinJobAge seconds, accounting (if there is any) for ever. What
# cannot be told now, for example while the controller restarts, counts as running.
set -u
id=${1%%;*}

state=$(scontrol show job --oneliner "$id" 2>&1) && state=${state#*JobState=} state=${state%% *}
case $state in
*"Invalid job id"*)
    state=$(sacct -nXP -j "$id" -o State 2>/dev/null | sed 's/ .*//;q')
    [ -n "$state" ] || state=FORGOTTEN
    ;;
esac
case $state in
COMPLETED) echo success ;;
BOOT_FAIL | CANCELLED | DEADLINE | FAILED | NODE_FAIL | OUT_OF_MEMORY | TIMEOUT | FORGOTTEN)
    echo failed
    ;;
*) echo running ;;
esac
