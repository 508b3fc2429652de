#!/usr/bin/env bash
# profiles/slurm against a real Slurm on this machine: Debian or Ubuntu, as root, no systemd needed.
#
#   tests/slurm/run.sh [TARGET ...]
#
# Trains Table 1 at smoke scale in a clone of the last commit and makes TARGET (the report), then
# looks: does Ctrl-C take the jobs along, did Slurm run them, does a second invocation do nothing,
# does a missing run come back alone, does a broken job fail with its log.  Eight minutes.  Exit
# code 1: a check failed.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
runs=results/replication/runs
targets=("$@")
[[ $# -gt 0 ]] || targets=(results/replication/smoke/report.html)
export PATH="$root/.venv/bin:$PATH:/usr/sbin"

say() { printf '\n== %s\n' "$*"; }
failed=0
check() { # WHAT COMMAND...
    local what=$1
    shift
    if "$@"; then
        echo "ok      $what"
    else
        echo "FAILED  $what"
        failed=1
    fi
}

if ! type munged slurmctld slurmd sbatch > /dev/null 2>&1; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends slurm-wlm munge
fi

conf=/etc/slurm/slurm.conf
if [[ -e $conf || -L $conf ]]; then
    echo "There is a $conf: this machine has a Slurm of its own." >&2
    exit 2
fi

work=$(mktemp -d)
linked=
pids=() # of what runs now
stop() {
    local code=$?
    trap - EXIT
    trap '' INT TERM # a second Ctrl-C would leave daemons behind
    # Jobs first: slurmd's own children outlive it.
    if [[ -n $linked ]]; then
        timeout 20 scancel --quiet --user root 2> /dev/null || true
        sleep 2
    fi
    if [[ ${#pids[@]} -gt 0 ]]; then
        kill "${pids[@]}" 2> /dev/null || true
        for _ in {1..20}; do kill -0 "${pids[@]}" 2> /dev/null || break; sleep 0.5; done
        kill -KILL "${pids[@]}" 2> /dev/null || true
    fi
    [[ -z $linked ]] || rm -f "$conf"
    rm -rf "$work"
    exit "$code"
}
trap stop EXIT
trap 'exit 1' INT TERM

say "Slurm on this machine"
# munged wants its key for itself and its socket reachable by anyone.
chmod 755 "$work"
mkdir -m 700 "$work/key" "$work/state" "$work/spool"
mkdir -m 755 "$work/munge"
head -c 1024 /dev/urandom > "$work/key/munge.key"
chmod 600 "$work/key/munge.key"
munged --foreground --socket "$work/munge/socket" --key-file "$work/key/munge.key" \
    --pid-file "$work/munge/pid" --seed-file "$work/key/seed" --log-file "$work/munged.log" \
    &> "$work/munged.out" &
pids+=($!)
memory=$(($(awk '/^MemTotal/ {print $2}' /proc/meminfo) / 1024))
sed -e "s|@HOST@|$(hostname -s)|; s|@WORK@|$work|; s|@CPUS@|$(nproc)|; s|@MEMORY@|$memory|" \
    "$root/tests/slurm/slurm.conf" > "$work/slurm.conf"
# Not SLURM_CONF: the plugin starts srun without the job's SLURM_ variables.
mkdir -p /etc/slurm
ln -s "$work/slurm.conf" "$conf"
linked=yes
touch "$work/finished.txt"
for _ in {1..20}; do [[ ! -S $work/munge/socket ]] || break; sleep 0.5; done
slurmctld -D &> "$work/slurmctld.out" &
pids+=($!)
slurmd -D &> "$work/slurmd.out" &
pids+=($!)
for _ in {1..60}; do [[ $(sinfo --noheader --format %T 2> /dev/null) != idle ]] || break; sleep 1; done
sbatch --version
sinfo --noheader --format '%D node, %c CPUs, %T'

# A clone, so that nothing of this tree is touched, and what is not committed plays no part.
git clone --quiet "$root" "$work/tree"
cd "$work/tree"
if ! python -c 'import snakemake_executor_plugin_slurm' 2> /dev/null; then
    requirement=$(python -c 'import tomllib; print(tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["slurm"][0])')
    # Beside the environment, whose packages are locked; Slurm hands PYTHONPATH to its jobs.
    python -m pip install -qq --disable-pip-version-check --no-deps --target "$work/plugin" \
        "$requirement" snakemake-executor-plugin-slurm-jobstep
    export PYTHONPATH="$work/plugin"
fi

# As a user calls it, with shorter pauses between looks at the queue.
command=(snakemake --profile profiles/slurm --slurm-init-seconds-before-status-checks 5
    --latency-wait 5 --config scale=smoke studies=table1 -- "${targets[@]}")
pipeline() { # LOG
    timeout --kill-after 30 1200 "${command[@]}" > "$work/$1" 2>&1
}
ids() { sed -n 's/.*submitted with SLURM jobid \([0-9]*\).*/\1/p' "$work/$1" | sort -n; }
ended() { # LOG STATE: how many of its jobs Slurm says ended so
    ids "$1" | sed 's/.*/^JobId=& /' | grep --file - "$work/finished.txt" \
        | grep --count "JobState=$2 " || true
}
missing() { # runs of the plan that are not finished
    python -c '
import json, pathlib, sys
plan = json.load(open("results/replication/smoke/data/table1/plan.json"))
ids = {run["run_id"] for run in plan["runs"]}
print(len(ids), sum(not pathlib.Path(sys.argv[1], i, "run.json").is_file() for i in ids))
' "$runs"
}
show() { # LOG: what became of its jobs, by name
    local id state comment
    for id in $(ids "$1"); do
        read -r state comment < <(scontrol --oneliner show job "$id" \
            | sed 's/.*JobState=\([A-Z]*\).* Comment=\([^ ]*\).*/\1 \2/')
        printf '%4s  %-10s %s\n' "$id" "$state" "$comment"
    done
}

finish() { # with the logs, if a check failed
    [[ $failed -ne 0 ]] || return 0
    say "Logs"
    tail -n 40 "$work"/*.log "$work"/tree/results/replication/logs/slurm/*/*.log || true
    exit 1
}

say "Interrupted as soon as a job runs"
set -m # else a command in the background ignores Ctrl-C
"${command[@]}" > "$work/cut.log" 2>&1 &
cut=$!
set +m
daemons=("${pids[@]}")
pids+=("$cut")
for _ in {1..120}; do [[ -z $(squeue --noheader --states running) ]] || break; sleep 1; done
sleep 10
kill -INT "$cut"
for _ in {1..60}; do kill -0 "$cut" 2> /dev/null || break; sleep 1; done
check "it ends" test "$(kill -0 "$cut" 2> /dev/null && echo alive)" = ""
[[ $failed -ne 0 ]] || pids=("${daemons[@]}")
for _ in {1..30}; do [[ -n $(squeue --noheader) ]] || break; sleep 1; done
show cut.log
cancelled=$(ended cut.log CANCELLED)
completed=$(ended cut.log COMPLETED) # short ones, before
check "it took its jobs along" test "$cancelled" -gt 0 -a -z "$(squeue --noheader)" \
    -a $((cancelled + completed)) -eq "$(ids cut.log | wc -l)"
finish

say "A first invocation"
(while sleep 2; do squeue --noheader --states all --format '%i %T'; done >> "$work/queue.txt") &
watcher=$!
pids+=("$watcher")
check "it ends with exit code 0" pipeline first.log
kill "$watcher"
pids=("${daemons[@]}")
show first.log
echo "states that squeue showed: $(cut -d' ' -f2 "$work/queue.txt" | sort | uniq -c | xargs)"
trained=$(grep -c '^rule train_.*:$' "$work/first.log" || true)
jobs=$(ids first.log | wc -l)
check "several cohorts ($trained), each a Slurm job, and the analysis as well" \
    test "$trained" -ge 2 -a "$jobs" -gt "$trained"
check "Slurm says that all of the $jobs completed" test "$(ended first.log COMPLETED)" -eq "$jobs"
read -r planned left < <(missing)
check "all of the $planned runs are finished" test "$planned" -gt 0 -a "$left" -eq 0
check "what was asked for is there" test -s "${targets[0]}"

finish

say "A second invocation"
check "it ends with exit code 0" pipeline second.log
check "there is nothing to be done" grep --quiet "Nothing to be done" "$work/second.log"
check "Slurm got no job" test -z "$(ids second.log)"

say "One run is missing"
# With the tables made of it: nothing needs a run whose tables are there.
gone=$(find "$runs" -maxdepth 1 -name 'invertedpendulum*' | sort | head -n 1)
tables=results/replication/smoke/data
rm -r "$gone" "$tables"/inverted_pendulum.*
check "it ends with exit code 0" pipeline third.log
show third.log
check "one job trained it" test "$(grep -c '^rule train_.*:$' "$work/third.log" || true)" -eq 1
read -r _ left < <(missing)
check "it is back" test "$left" -eq 0

say "A cohort that breaks, and one that does not"
broken=$(find "$runs" -maxdepth 1 -name 'hopper*' | sort | head -n 1)
rm -r "$gone" "$broken" "$tables"/*.*.parquet
cat >> replicate/training/runs.py << 'END'

import sys
if "hopper" in " ".join(sys.argv):
    raise SystemExit("broken on purpose")
END
check "it ends with exit code 1" test "$(pipeline fourth.log && echo 0 || echo $?)" -eq 1
show fourth.log
check "Slurm says that one failed" test "$(ended fourth.log FAILED)" -eq 1
check "the end of its log is shown" grep --quiet "broken on purpose" "$work/fourth.log"
check "so is where the log is" \
    grep --quiet 'results/replication/logs/hopper[a-z0-9_]*\.log' "$work/fourth.log"
check "the other was trained" test -f "$gone/run.json" -a ! -e "$broken/run.json"
check "no job is left in the queue" test -z "$(squeue --noheader)"

say "Repaired"
git checkout --quiet replicate
check "it ends with exit code 0" pipeline fifth.log
show fifth.log
read -r _ left < <(missing)
check "all runs are finished" test "$left" -eq 0

finish
say "Every check passed"
