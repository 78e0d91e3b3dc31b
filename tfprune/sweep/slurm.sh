# Slurm's notice before the time limit comes as SIGUSR1 to this shell alone ("B:" above). Without "B:" it would go to job steps, and there
# are none: Python is started without srun, which not every cluster sets up alike. The shell passes it on as SIGTERM, at which the
# task saves its state and leaves with status 143; then the element is requeued, and goes on from there. The SIGTERM of scancel is passed
# on too, but what was cancelled is not requeued: hence two signals. Bash handles a signal only when no process is in its foreground:
# hence "&" and "wait".
noticed=0 cancelled=0 interrupted=0 process='' status=0 worst=0
trap 'interrupted=1 noticed=1; ask_to_leave' USR1
trap 'interrupted=1 cancelled=1; ask_to_leave' TERM

ask_to_leave() {
    [[ -z $process ]] || kill -TERM "$process" 2> /dev/null
}

stopping() {
    ((noticed || cancelled))
}

tell() {
    printf '%s sweep: %s\n' "$(date '+%Y-%m-%d %H:%M:%S')" "$*"
}

# Runs a command; its exit status goes to $status.
await() {
    local code
    "$@" &
    process=$!
    if stopping; then ask_to_leave; fi # it came before the process was known
    status=127 interrupted=1
    while ((interrupted)); do # a signal ends "wait" before the process ends
        interrupted=0
        wait "$process"
        code=$?
        ((code == 127)) || status=$code # 127: it had ended at the wait before
    done
    process=''
}

# Does a task: its label, its log, and the words of its command that are its own.
task() {
    local label=$1 log=$2 tries=0 waits=0
    shift 2
    until stopping; do
        status=1 # where the log cannot be opened
        await "${first[@]}" "$@" "${last[@]}" >> "$log" 2>&1
        case $status in
            0 | 2) break ;; # done; or refused, and would be again
            75) # another process has it, or had it on a node that has died, whose claim the file system still keeps for a minute
                ((waits++ < 3)) || break
                await sleep 60
                status=143 ;; # unless it is tried again
            *) ((!noticed && !cancelled && tries++ < retry)) || break ;;
        esac
    done
    ((status == 0)) || tell "$label: exit status $status ($log)"
}

: "${SLURM_ARRAY_TASK_ID:?this script is for sbatch}"
# The tasks of this element: its own number, and every so many further on.
for ((number = SLURM_ARRAY_TASK_ID; number < tasks; number += elements)); do
    status=143 # unless it is done
    stopping || task_number "$number"
    ((status == 0)) || worst=$status
    if stopping && ((status == 143)); then break; fi
done

if ((noticed && !cancelled && status == 143)); then
    element=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID # SLURM_JOB_ID could mean the whole array
    if ((${SLURM_RESTART_COUNT:-0} >= 100)); then
        tell "$element: the time limit has come ${SLURM_RESTART_COUNT} times; left as it is, the next sweep goes on with it"
    else
        tell "$element: the time limit comes; requeued"
        scontrol requeue "$element"
    fi
fi
exit "$worst"
