. "$SOURCE/tests/support/sweep.sh"
# flipbench and its trainer are killed at once: the record still says "running".
FAKE_STEP_MS=50 "$FLIPBENCH" run experiments/small.yaml --no-progress >/dev/null 2>&1 &
bench_pid=$!
for i in $(seq 200); do [ -s results/flipbench.db ] && pid=$(ask "SELECT pid FROM attempt" 2>/dev/null) && [ "$pid" ] && break; sleep 0.05; done
expect_status 0 bench status small
expect_line out.txt '^running .*mask_ratio=0$'
expect_status 0 bench runs list
expect_line out.txt ' running '
expect_status 0 bench report small
expect_line out.txt 'mask_ratio=0: running'
expect_answer "SELECT status FROM run" running
expect_status 2 bench runs remove 1 --yes
expect_line err.txt 'run 1 is running: stop it before'
kill -9 "$bench_pid" "$pid"; wait 2>/dev/null
for i in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.05; done
expect_answer "SELECT status FROM run" running
expect_status 0 bench status small
expect_line out.txt '^interrupted .*mask_ratio=0: its process is gone'
expect_status 0 bench status
expect_line out.txt '^small +0/5 finished$'
expect_status 0 bench status small --json
expect_line out.txt '"status":"interrupted"'
# So do the reports, which show what is recorded.
expect_status 0 bench report small --format html
for page in results/small/report.html results/index.html; do
  expect_line "$page" 'interrupted'
  ! grep -q 'running' <(sed -n '/<script type="application\/json"/,/<\/script>/p' "$page") || fail "$page says that it runs"
done
expect_status 0 bench report small
expect_line out.txt 'mask_ratio=0: interrupted: flipbench and the trainer were killed'
expect_status 0 bench status small
expect_line out.txt '^interrupted .*mask_ratio=0: flipbench and the trainer were killed'
expect_status 0 bench run experiments/small.yaml --no-progress
expect_answer "SELECT group_concat(kind, '+') FROM attempt WHERE run_id = 1" 'lost+'
rm -r results

# What a trainer prints reaches the terminal only as text.
cat > fake <<'F'
#!/bin/bash
[ "$1" = --version ] && { echo "flip 0 (aaaaaaaaaa, gcc)"; exit; }
printf '\033[2J\033]0;title\007\033[31mERROR\033[0m bad\r100%%\302\233x \342\200\256abc \377\n' >&2
exit 5
F
chmod +x fake
sed 's/name: small/name: rude/; s/^tuning:.*//; s/^  unmasked:.*//; s/tuned_zero_shot_top1, //' experiments/small.yaml > experiments/rude.yaml
FLIP=$PWD/fake "$FLIPBENCH" run experiments/rude.yaml > out1 2>&1 || true
bench status rude > out2 2>&1; bench show "$(ask "SELECT max(id) FROM run")" > out3 2>&1; bench report rude > out4 2>&1
for f in out1 out2 out3 out4 results/rude/report.html; do
  [ ! -e $f ] || ! grep -q $'\033\[2J\|\007\|\302\233\|\342\200\256' $f || fail "$f holds what a terminal obeys"
done
expect_line out2 '\\x1B\[2J'
