#!/bin/sh
# SLURM and munge for the tests of the cluster profiles, from Debian; the tests start and stop their
# daemons. Ends with 1 if they could be had but could not be installed, else with 0: without SLURM
# those tests are skipped and say so.
set -u
. "${0%/*}/debian.sh"

found() { PATH=$PATH:/usr/sbin && command -v slurmctld && command -v slurmd && command -v munged; }
want SLURM "its tests are skipped" "slurm-wlm munge" && exit 0
if can_install && apt-cache show slurm-wlm >/dev/null 2>&1; then exit 1; fi
