#!/bin/sh
# Submit one job and print its id; a setting that says `None` is left to SLURM.
# submit.sh LOGS CPUS MEMORY_MB MINUTES GPUS PARTITION GPU_PARTITION GPU_TYPE ACCOUNT JOBSCRIPT
set -eu
logs=$1 cpus=$2 memory=$3 minutes=$4 gpus=$5
partition=$6 gpu_partition=$7 gpu_type=$8 account=$9
shift 9

mkdir -p "$logs"
if [ "$gpus" != 0 ]; then
    [ "$gpu_partition" = None ] || partition=$gpu_partition
    [ "$gpu_type" = None ] || gpus=$gpu_type:$gpus
    set -- "--gres=gpu:$gpus" "$@"
fi
[ "$partition" = None ] || set -- "--partition=$partition" "$@"
[ "$account" = None ] || set -- "--account=$account" "$@"
exec sbatch --parsable --job-name=unblind "--output=$logs/%j.log" --ntasks=1 \
    "--cpus-per-task=$cpus" "--mem=$memory" "--time=$minutes" "$@"
