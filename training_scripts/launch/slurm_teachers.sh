#!/usr/bin/env bash
# One of PSD's teachers in each task of a Slurm array; a task that was killed resumes when it is submitted again.
# The body ran here as plain processes with SLURM_ARRAY_TASK_ID set; the array itself was not run: no Slurm here.
#
#   mlic partition --dataset coco --data_dir coco --kind cgp --parts 5 --output_dir T/cgp
#   mlic partition --dataset coco --data_dir coco --kind dgp --parts 5 --output_dir T/dgp
#   sbatch --array=0-9 training_scripts/launch/slurm_teachers.sh T 5 \
#       mlic_hf/recipes/coco/psd_resnet101.yaml --data_dir coco --learning_rate 1e-4
#   accelerate launch training_scripts/distill.py --config mlic_hf/recipes/coco/psd_resnet101.yaml \
#       --data_dir coco --teachers T --output_dir runs/coco_psd
#
#SBATCH --job-name=psd-teacher
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --output=psd-teacher-%A_%a.log
set -euo pipefail

if [ $# -lt 3 ]; then
  echo "usage: slurm_teachers.sh TEACHERS_FOLDER PARTS RECIPE [flags of train.py]" >&2
  exit 2
fi
teachers=$1 parts=$2 recipe=$3
shift 3
kinds=(${KINDS:-cgp dgp})
task=${SLURM_ARRAY_TASK_ID:?submit with --array=0-$((${#kinds[@]} * parts - 1))}
kind=${kinds[$((task / parts))]:?there is no partition for task $task}
part=$((task % parts))

# What the recipe's teacher_run section changes has to be given as flags here.
exec mlic train --config "$recipe" --method supervised --supervised.loss asl \
  --partition "$teachers/$kind/partition.json" --part "$part" \
  --output_dir "$teachers/$kind/part_$part" "$@"
