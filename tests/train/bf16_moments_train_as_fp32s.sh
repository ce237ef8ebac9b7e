# optimizer.moments: bf16: a small run reaches the losses of one with fp32 moments, resumes with the same
# bits after a kill, keeps only bf16 values in the checkpoint, and depends only on the seed.
. "$SOURCE/tests/support/training.sh"
make_data
narrow=(--set optimizer.moments=bf16)
train --out wide
train --out narrow "${narrow[@]}"
# the mean loss of the last ten steps
tail_loss() { field step loss "$1/events.jsonl" | tail -10 | awk '{ sum += $1 } END { print sum / NR }'; }
a=$(tail_loss wide) b=$(tail_loss narrow)
echo "mean loss of the last ten steps: fp32 $a, bf16 $b"
awk -v a="$a" -v b="$b" 'BEGIN { d = a - b; exit !(d < 0.03 * a && d > -0.03 * a) }' || fail "losses: fp32 $a, bf16 $b"
! cmp -s "$(newest wide)" "$(newest narrow)" || fail "the setting changes nothing"

# Killed and resumed: the same bits as without interruption.
cut_after 8 KILL parts "$FLIP" train --config run.yaml --no-progress --out parts "${narrow[@]}" --set checkpoint.every_samples=64
train --out parts "${narrow[@]}" --set checkpoint.every_samples=64 --resume
cmp <(tensors "$(newest parts)") <(tensors "$(newest narrow)") || fail "the bits of a resumed run differ"

# The moments are the last two thirds of the tensors: their low 16 bits are zero, the weights' are not.
body=$(($(stat -c %s "$(newest narrow)") - 8 - $(od -An -N8 -t u8 "$(newest narrow)")))
wider() { od -An -v -t x2 -w4 | awk '$1 != "0000" { n++ } END { print n + 0 }'; }
[ "$(tail -c $((body / 3 * 2)) "$(newest narrow)" | wider)" = 0 ] || fail "moments in the checkpoint are wider than bf16"
[ "$(bytes "$(newest narrow)" $(($(stat -c %s "$(newest narrow)") - body)) $((body / 3)) | wider)" -gt 0 ] || fail "the weights are bf16, too"
